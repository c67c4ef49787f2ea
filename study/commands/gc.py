"""The command `retune gc`: says what of a study's store may be freed, and frees it."""

import json
from collections.abc import Collection, Mapping
from typing import Annotated

import typer

from study.commands.console import FolderArgument, JsonOption, warn
from study.definition.study import KEEPS
from study.folder.folder import Folder, folder_lock
from study.folder.retention import Foreign, Holdings, foreign_in, holdings_of
from trainables.frozen import ConfigError
from trainables.nodes import NUMERICS_VERSION
from trainables.store.store import Store


def gc(
    folder: FolderArgument,
    keep: Annotated[
        str | None,
        typer.Option(
            help="What stays: needed (what unfinished trials need, and the weights of the Pareto set), final (those of "
            "every trial), all.",
            show_default="the study's",
        ),
    ] = None,
    version: Annotated[
        int | None,
        typer.Option(
            help="Instead all that this version of the numerics made in the store, which is not that of this release.",
            show_default=False,
        ),
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Free it; otherwise it is only said.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Say how many updates of a study's store need not stay, by retention, and with --yes free them.

    Scores are never freed, so what is done stays done. What another study on the same store needs stays, too. An update
    that is freed and needed later, such as by a study that grows, is trained again.

    What releases with another version of the numerics made is listed, and goes by --version alone, whatever study it is
    of: their tables and reports stay as they are, but their weights go, and only such a release makes them again.
    """
    home = Folder(path=folder)
    definition = home.definition()
    if version is not None:
        if keep is not None:
            raise ConfigError("--version: all updates of a version go, so --keep has no meaning beside it")
        _free_version(home, version, yes=yes, as_json=as_json)
        return
    chosen = next((one for one in KEEPS if one == (keep or definition.keep)), None)
    if chosen is None:
        raise ConfigError(f"--keep: {keep!r} given; allowed: {', '.join(KEEPS)}")
    with folder_lock(folder):
        store = home.store(warn)
        store.check(writable=yes)
        holdings = holdings_of(store, home, definition)
        free = holdings.freeable(chosen)
        for key in free if yes else ():
            store.delete("updates", key)
        if yes and free:
            home.log("freed", updates=len(free), bytes=holdings.bytes_of(free))
    if as_json:
        typer.echo(json.dumps({**_numbers(holdings), "keep": chosen, "freed": yes}, indent=2))
        return
    typer.echo(f"study {definition.name}, store {store.location}: {_in_words(holdings, holdings.order)}")
    for one in KEEPS:
        stay, go = (_in_words(holdings, keys) for keys in (holdings.stay[one], holdings.freeable(one)))
        typer.echo(f"keep: {one:7} {stay} stay, {go} may go")
    for other, made in holdings.foreign.items():
        typer.echo(f"version {other}: {_listed(made)} stay; free with: retune gc {folder} --version {other} --yes")
    if not free:
        typer.echo(f"nothing to free (keep: {chosen})")
    elif yes:
        typer.echo(f"freed {_in_words(holdings, free)} (keep: {chosen})")
    else:
        option = f" --keep {keep}" if keep else ""
        typer.echo(f"free {_in_words(holdings, free)} (keep: {chosen}) with: retune gc {folder}{option} --yes")


def _free_version(home: Folder, version: int, *, yes: bool, as_json: bool) -> None:
    """Say what a version made in a store, and free it if told to."""
    if version == NUMERICS_VERSION:
        raise ConfigError(f"--version: {version} is that of this release, whose updates go by --keep; leave it out")
    store = home.store(warn)
    store.check(writable=yes)
    foreign = foreign_in(store, store.sizes("updates"))
    made = foreign.get(version)
    if made is not None and yes:
        with folder_lock(home.path):
            _free(store, made, version)
            home.log("freed", updates=len(made.sizes), bytes=made.bytes, version=version)
    if as_json:
        found = {} if made is None else {version: made}
        typer.echo(json.dumps({"version": version, "freed": yes, "other_versions": _numbers_of(found)}, indent=2))
    elif made is None:
        there = ", ".join(map(str, foreign)) or "none"
        typer.echo(f"nothing to free (version {version}); other versions in store {store.location}: {there}")
    elif yes:
        typer.echo(f"freed {_listed(made)} (version {version}); their scores stay, so they are read as before")
    else:
        typer.echo(
            f"free {_listed(made)} (version {version}) with: retune gc {home.path} --version {version} --yes\n"
            "their scores stay, so they are read as before; no weights of theirs can be exported then"
        )


def _free(store: Store, made: Foreign, version: int) -> None:
    """Free the updates of a version.

    Raises:
        ConfigError: a run under that version works on them.
    """
    if made.live:
        raise ConfigError(f"--version: {version}: a run works on {', '.join(made.live)}; wait for it or end it")
    for key in made.sizes:
        store.delete("updates", key)


def _listed(made: Foreign) -> str:
    of = ", ".join(made.studies) or "no study that is still there"
    return f"{_counted(len(made.sizes), made.bytes)} of {of}"


def _in_words(holdings: Holdings, keys: Collection[str]) -> str:
    return _counted(len(keys), holdings.bytes_of(keys))


def _counted(count: int, size: int) -> str:
    unit, name = next(((unit, name) for unit, name in _UNITS if size >= unit), _UNITS[-1])
    return f"{count} updates ({size / unit:.3g} {name})"


_UNITS = ((1e12, "TB"), (1e9, "GB"), (1e6, "MB"), (1e3, "kB"))


def _numbers(holdings: Holdings) -> dict[str, object]:
    """Updates and bytes in all, and what stays and may go under each retention."""

    def counted(keys: Collection[str]) -> dict[str, int]:
        return {"updates": len(keys), "bytes": holdings.bytes_of(keys)}

    return {
        **counted(holdings.order),
        "by_keep": {
            keep: {"stay": counted(holdings.stay[keep]), "may_go": counted(holdings.freeable(keep))} for keep in KEEPS
        },
        "other_versions": _numbers_of(holdings.foreign),
    }


def _numbers_of(foreign: Mapping[int, Foreign]) -> dict[int, object]:
    """Updates, bytes and studies of versions."""
    return {
        version: {"updates": len(made.sizes), "bytes": made.bytes, "studies": made.studies}
        for version, made in foreign.items()
    }
