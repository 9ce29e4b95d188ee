"""What may be shown to a model at all: denied paths stay out, secrets are taken out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

from pathspec import GitIgnoreSpec

from gateway.domain import secret_scan
from gateway.domain.errors import InvalidRequest
from gateway.domain.material import Material, Related, Rule, Turn
from gateway.domain.secret_scan import Clean

Secrets = Literal["redact", "refuse", "allow"]

DENIED = (
    *(".env", ".env.*", "!.env.example", "!.env.sample", "!.env.template", ".envrc", ".netrc"),
    *(".npmrc", ".pypirc", ".pgpass", ".htpasswd", ".git-credentials", ".aws/", ".ssh/", ".gnupg/"),
    *("*.pem", "*.key", "*.p12", "*.pfx", "*.jks", "*.keystore", "*.kdbx", "*.ppk", "*.tfstate"),
    *("id_rsa", "id_dsa", "id_ecdsa", "id_ed25519", "credentials.json", "service-account*.json"),
)
"""Files that hold keys and little else, as .gitignore would name them."""


class DeniedPath(InvalidRequest):
    """The file in question may not be shown to a model."""

    status = 403
    code = "denied_path"


class SecretFound(InvalidRequest):
    """The file in question holds secrets, and the gateway is set to refuse those."""

    status = 403
    code = "secret_found"


@dataclass(frozen=True, slots=True)
class Screened:
    """The material as it may be shown, and the secrets taken out of the file itself, by kind."""

    material: Material
    found: dict[str, int]


class Screen:
    """`denied` are lines of a .gitignore. Secrets are taken out (`redact`), or keep the file they
    are in out (`refuse`), or stay where they are (`allow`)."""

    def __init__(self, denied: Sequence[str] = DENIED, secrets: Secrets = "redact") -> None:
        self._patterns = tuple(line for line in denied if line.strip())
        self._spec = GitIgnoreSpec.from_lines(self._patterns)
        self._secrets = secrets

    def pattern(self, path: str) -> str | None:
        """The pattern that denies `path`, in capitals or not; None when it may be shown."""
        for name in (path, path.lower()):
            result = self._spec.check_file(name.replace("\\", "/").lstrip("/"))
            if result.include and result.index is not None:
                return self._patterns[result.index]
        return None

    def __call__(self, material: Material) -> Screened:
        """`material` with what may not be shown marked as refused. DeniedPath, SecretFound (403)
        when that is the file in question."""
        self._admit(material)
        file = self._clean(material.text, reversible=True)
        if file.count and self._secrets == "refuse":
            kinds = ", ".join(file.found)
            raise SecretFound(
                f"{material.file.path} holds what looks like a secret ({kinds}), and this gateway "
                "refuses those. Move it out of the code.",
                param="diff" if material.touched else "file.content",
            )
        found = replace(
            material,
            instruction=self._clean(material.instruction).text,
            related=tuple(map(self._related, material.related)),
            rules=tuple(map(self._rule, material.rules)),
            diagnostics=tuple(
                replace(said, message=self._clean(said.message).text)
                for said in material.diagnostics
            ),
            conversation=tuple(
                Turn(turn.role, self._clean(turn.content).text) for turn in material.conversation
            ),
            shown=file.text if file.count else None,
            secrets=file.kept,
        )
        return Screened(found, dict(file.found))

    def _admit(self, material: Material) -> None:
        """DeniedPath unless all that the file in question is made of may be shown."""
        own = (material.file.path,) if material.has_file else ()
        for path in (*own, *material.touched):
            denied = self.pattern(path)
            if denied is None:
                continue
            says = f"{path} may not be shown to a model: {denied!r} is denied here"
            if path in material.touched:
                leave = f"leave it out: git diff --staged -- . ':!{path}'"
                raise DeniedPath(f"{says}; {leave}", param="diff")
            raise DeniedPath(
                f"{says}; an operator can allow it under assist.denied_paths.", param="file.path"
            )

    def _clean(self, text: str, *, reversible: bool = False) -> Clean:
        if self._secrets == "allow":
            return Clean(text)
        return secret_scan.clean(text, reversible=reversible)

    def _related(self, other: Related) -> Related:
        content, refused, count = self._judged(other.path, other.content)
        return replace(other, content=content, refused=refused, redacted=count)

    def _rule(self, rule: Rule) -> Rule:
        content, refused, count = self._judged(rule.path, rule.content)
        return replace(rule, content=content, refused=refused, redacted=count)

    def _judged(self, path: str, content: str) -> tuple[str, str, int]:
        """(what may be shown of a file, why it may not go in, secrets taken out)."""
        denied = self.pattern(path)
        if denied is not None:
            return "", f"denied by {denied!r}: see assist.denied_paths", 0
        clean = self._clean(content)
        if clean.count and self._secrets == "refuse":
            return "", f"it holds what looks like a secret: {', '.join(clean.found)}", 0
        return clean.text, "", clean.count
