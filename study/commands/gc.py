"""The command `retune gc`: says what of a study's store may be freed, and frees it."""

import json
from collections.abc import Collection
from typing import Annotated

import typer

from study.commands.console import FolderArgument, JsonOption, warn
from study.definition.study import KEEPS
from study.folder.folder import Folder, folder_lock
from study.folder.retention import Holdings, holdings_of
from trainables.frozen import ConfigError


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
    yes: Annotated[bool, typer.Option("--yes", help="Free it; otherwise it is only said.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Say how many updates of a study's store need not stay, by retention, and with --yes free them.

    Scores are never freed, so what is done stays done. What another study on the same store needs stays, too. An update
    that is freed and needed later, such as by a study that grows, is trained again.
    """
    home = Folder(path=folder)
    definition = home.definition()
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
    if not free:
        typer.echo(f"nothing to free (keep: {chosen})")
    elif yes:
        typer.echo(f"freed {_in_words(holdings, free)} (keep: {chosen})")
    else:
        option = f" --keep {keep}" if keep else ""
        typer.echo(f"free {_in_words(holdings, free)} (keep: {chosen}) with: retune gc {folder}{option} --yes")


def _in_words(holdings: Holdings, keys: Collection[str]) -> str:
    size = holdings.bytes_of(keys)
    unit, name = next(((unit, name) for unit, name in _UNITS if size >= unit), _UNITS[-1])
    return f"{len(keys)} updates ({size / unit:.3g} {name})"


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
    }
