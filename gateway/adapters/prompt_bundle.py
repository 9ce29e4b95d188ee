"""All texts of one prompt at one version: its languages, variants and partials, compiled."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from gateway.adapters.prompt_check import TemplateCheck
from gateway.adapters.prompt_compile import Templates, tags_in
from gateway.adapters.prompt_files import Folder, PromptSource, Source, problem_at
from gateway.adapters.prompt_front import FrontMatter, InputSpec, Variant
from gateway.adapters.prompt_locales import languages
from gateway.adapters.prompt_paths import partial_path
from gateway.adapters.prompt_render import Loaded
from gateway.adapters.prompt_tags import PromptEnvironment
from gateway.domain.call import PromptRef
from gateway.domain.document import Problem, did_you_mean
from gateway.domain.prompt import Prompt


@dataclass(frozen=True, slots=True)
class Bundle:
    """One prompt at one version. `sha` is twelve hex digits of `sources`, which are its own file
    first; `faces` are what it can show, by (locale, variant), ("", "") always among them."""

    name: str
    version: str
    sha: str
    front: FrontMatter
    sources: tuple[Source, ...]
    faces: Mapping[tuple[str, str], Loaded]

    @property
    def default(self) -> Loaded:
        """The default language, no variant."""
        return self.faces["", ""]

    @property
    def locales(self) -> tuple[str, ...]:
        """Languages beside the default one."""
        return tuple(sorted({locale for locale, _ in self.faces} - {""}))

    @property
    def file(self) -> Path:
        """Where its own file is."""
        return Path(self.sources[0].file)


def bundles(folder: Folder) -> tuple[dict[str, Bundle], list[Problem]]:
    """All prompts of a folder by name, those that are sound, and all problems, each told once."""
    others = languages(folder)
    problems = list(folder.problems)
    made = {}
    for name, prompt in folder.prompts.items():
        making = _Making(folder, prompt, others.get(name, {}))
        bundle = making.bundle()
        # A partial that several prompts include is told of once.
        problems += [problem for problem in making.problems if problem not in problems]
        if not making.problems:
            made[name] = bundle
    return made, problems


@dataclass(slots=True)
class _Making:
    folder: Folder
    prompt: PromptSource
    others: Mapping[str, PromptSource]
    problems: list[Problem] = field(default_factory=list)
    sources: dict[str, Source] = field(default_factory=dict)
    faces: dict[tuple[str, str], Loaded] = field(default_factory=dict)

    def bundle(self) -> Bundle:
        self._face("", self.prompt)
        for locale, text in sorted(self.others.items()):
            self._face(locale, text)
        front, own = self.prompt.front, self.prompt.source
        rest = [self.sources[path] for path in sorted(self.sources) if path != own.path]
        sha = digest((own, *rest))
        faces = {key: _known_as(loaded, key, sha) for key, loaded in self.faces.items()}
        return Bundle(front.name, front.version, sha, front, (own, *rest), faces)

    def _face(self, locale: str, text: PromptSource) -> None:
        plain = self._compiled(text, text.source)
        if plain is None:
            return
        self.faces[locale, ""] = plain
        for number, variant in enumerate(text.front.variants):
            found: Loaded | None = plain
            if variant.template is not None:
                found = self._other(text, variant, locale, number)
            if found is not None:
                self.faces[locale, variant.id] = _varied(found, variant)

    def _other(
        self, text: PromptSource, variant: Variant, locale: str, number: int
    ) -> Loaded | None:
        partials = self.folder.partials
        name = variant.template or ""
        local = partials.get(f"{name}.{locale}.j2") or partials.get(partial_path(name))
        if local is not None:
            return self._compiled(text, local)
        if not locale:
            message = f"there is no text {name!r}"
            fix = did_you_mean(name, [path.removesuffix(".j2") for path in partials])
            path = ("variants", number, "template")
            where = self.prompt
            self.problems.append(
                problem_at(where.source, where.document, path, "E111", message, fix)
            )
        return None

    def _compiled(self, text: PromptSource, source: Source) -> Loaded | None:
        environment = PromptEnvironment()
        check = TemplateCheck(environment, self.folder.partials)
        check.prompt(source, text.front.inputs)
        self.problems += [problem for problem in check.problems if problem not in self.problems]
        if check.problems:
            return None
        partials = [self.folder.partials[path] for path in sorted(check.reached)]
        self.sources |= {one.path: one for one in (text.source, source, *partials)}
        return _compiled(environment, text.front, source, partials)


def _compiled(
    environment: PromptEnvironment, front: FrontMatter, source: Source, partials: list[Source]
) -> Loaded:
    tags = tags_in(environment, [source, *partials])
    if front.output.tag:
        tags |= {front.output.tag}
    environment.loader = Templates([source, *partials], tags)
    # Included partials are compiled now as well: a render reads and compiles nothing.
    for partial in partials:
        environment.get_template(partial.path)
    shadow = (front.shadow.variant, front.shadow.ratio) if front.shadow else None
    described = Prompt(
        ref=PromptRef(front.name, front.version, ""),
        description=front.description,
        model=front.model.alias,
        params=front.model.params.model_dump(exclude_none=True),
        output=front.output.model_dump(exclude={"answer_schema"}),
        inputs={name: _described(spec) for name, spec in front.inputs.items()},
        shadow=shadow,
    )
    return Loaded(described, front, source, environment.get_template(source.path), tags)


def _described(spec: InputSpec) -> dict[str, Any]:
    return {
        "type": spec.type,
        "trust": spec.trust,
        "required": spec.required,
        "default": spec.default,
        "max_chars": spec.max_chars,
        "fields": spec.shape.names,
    }


def _varied(loaded: Loaded, variant: Variant) -> Loaded:
    params = dict(loaded.prompt.params)
    if variant.params is not None:
        params |= variant.params.model_dump(exclude_none=True, exclude_unset=True)
    return replace(loaded, prompt=replace(loaded.prompt, params=params))


def _known_as(loaded: Loaded, key: tuple[str, str], sha: str) -> Loaded:
    locale, variant = key
    ref = replace(loaded.prompt.ref, sha=sha, variant=variant, locale=locale)
    return replace(loaded, prompt=replace(loaded.prompt, ref=ref))


def digest(sources: Iterable[Source]) -> str:
    """Twelve hex digits of a prompt's own file, which comes first, and of all others it needs."""
    own, *others = sources
    whole = hashlib.sha256(own.text.encode())
    for source in others:
        whole.update(f"\0{source.path}\0{source.text}".encode())
    return whole.hexdigest()[:12]


def every_face(bundle: Bundle) -> Iterator[tuple[str, str, Loaded]]:
    """(locale, variant, what it shows), the default first."""
    for (locale, variant), loaded in sorted(bundle.faces.items()):
        yield locale, variant, loaded
