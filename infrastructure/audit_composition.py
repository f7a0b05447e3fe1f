"""The audit's part of the composition: apart, because S3's driver takes 12 MB in every process."""

from infrastructure.audit.copies import SealCopies
from infrastructure.audit.log import Connection
from infrastructure.audit.sealer import Sealer
from infrastructure.audit.seals import read_public_keys, read_signing_key
from infrastructure.audit.verify import Tell, Verified, Verifier
from infrastructure.settings import Settings


def sealer(settings: Settings) -> Sealer:
    """Wire what makes seals and copies them; only who holds the signing key can."""
    return Sealer(
        read_signing_key(settings.sealer.seal_key_file),
        read_public_keys(settings.copies.seal_public_key_file),
        SealCopies(settings.copies),
        seal_events=settings.sealer.seal_events,
    )


def verifier(settings: Settings, connection: Connection, begin: Verified, tell: Tell) -> Verifier:
    """Wire what verifies the log; of the keys it takes only the public ones."""
    keys = read_public_keys(settings.copies.seal_public_key_file)
    return Verifier(connection, SealCopies(settings.copies), keys, begin, tell)
