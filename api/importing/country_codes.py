"""A country's name as the shop wrote it, to its ISO 3166-1 alpha-2 code.

Rule: a name that has no single code gets none; guessing would put parcels into the wrong country.
"""

from functools import lru_cache

import pycountry

_ALIASES = {
    "eire": "IE",
    "rsa": "ZA",
    "usa": "US",
    "uk": "GB",
    "england": "GB",
    "scotland": "GB",
    "wales": "GB",
    "northern ireland": "GB",
    "czech republic": "CZ",
    "south korea": "KR",
    "korea": "KR",
    "russia": "RU",
    "turkey": "TR",
    "vietnam": "VN",
    "west indies": None,
    "channel islands": None,  # Jersey and Guernsey have a code each, together they have none
    "european community": None,
    "unspecified": None,
}


@lru_cache(maxsize=1024)
def country_code(name: str) -> str | None:
    """Give the code of a name, of another code of the same standard, or None."""
    key = name.casefold()
    if key in _ALIASES:
        return _ALIASES[key]
    try:
        return str(pycountry.countries.lookup(name).alpha_2)
    except LookupError:
        return None
