"""A contract of import-linter: what a layer may import besides ours is named, not what it mayn't.

A list of forbidden packages grows stale with the first that nobody thought of.
"""

import sys
from typing import Any

from grimp import ImportGraph
from importlinter import Contract, ContractCheck, fields, output


class StandardLibraryOnly(Contract):
    """Attributes: source_modules: packages of ours; allowed: what else they may import."""

    type_name = "standard_library_only"

    source_modules: Any = fields.ListField(subfield=fields.StringField())
    allowed: Any = fields.ListField(subfield=fields.StringField(), required=False, default=[])

    def check(self, graph: ImportGraph, verbose: bool) -> ContractCheck:  # noqa: FBT001, ARG002  # the base's
        """Find imports of packages that are neither Python's, ours nor allowed."""
        own: set[str] = {name.partition(".")[0] for name in self.session_options["root_packages"]}
        known = own | sys.stdlib_module_names | set(self.allowed)
        found = sorted(
            (module, imported)
            for package in self.source_modules
            for module in {package, *graph.find_descendants(package)}
            for imported in graph.find_modules_directly_imported_by(module)
            if imported.partition(".")[0] not in known
        )
        return ContractCheck(kept=not found, metadata={"found": found})

    def render_broken_contract(self, check: ContractCheck) -> None:
        """Name each import."""
        found: list[tuple[str, Any]] = check.metadata["found"]
        for module, imported in found:
            output.print_error(f"{module} imports {imported}")
