"""The commands `retune data import ...`: from images and captions that a user has to a manifest.

Each kind of source is a command of its own, so an option that a kind does not have is refused.
"""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from study.commands.console import say
from trainables.frozen import ConfigError

if TYPE_CHECKING:
    from study.data.importers.data_set import DataSet, Division
    from study.data.importers.rows import Skipped

IMPORT_EXAMPLES = """Examples:

retune data import folder birds/ --out m.parquet --caption "a photo of a {}, a bird."

retune data import csv photos.csv --image-column path --concept-column class --out m.parquet --append

retune data import webdataset "cc3m/{00000..00331}.tar" --group pool --out m.parquet --append

retune data import hf saved/eurosat --group holdout --out m.parquet --append

retune data import fif data/ --only DTD --only MSCOCO --out m.parquet --append

A study then says data: m.parquet. It needs a data set of group adapt and one of group holdout, and a pool unless its
pool_share is 0."""

FOLDER_EXAMPLES = """Layouts: PATH/CLASS/*.jpg, or PATH/train/CLASS/*.jpg and PATH/test/CLASS/*.jpg.

Examples:

retune data import folder birds/ --out m.parquet

retune data import folder birds/ --out m.parquet --caption "a photo of a {}." --caption "a wild {}." --test-share 0.1

retune data import folder imagenet/ --test-folder val --group holdout --out m.parquet --append"""

CSV_EXAMPLES = """Columns named as in a manifest are taken as they are: image, caption, concept, dataset, split, group,
member, offset, size, sha256, kind, year, templates, metric. A caption may be a JSON list of texts.

Examples:

retune data import csv photos.csv --out m.parquet

retune data import csv photos.tsv --concept-column species --caption "a photo of a {}." --out m.parquet

retune data import csv photos.parquet --root /data/photos --split test --group holdout --out m.parquet"""

WEBDATASET_EXAMPLES = """A sample is KEY.jpg (png, webp, ...) beside KEY.txt (caption), KEY.json (caption or text;
class), KEY.cls (number of the class, with --classes) or KEY.cls.txt (its name). Images stay in the shards, which must
be uncompressed.

Examples:

retune data import webdataset cc3m/ --group pool --out m.parquet --append

retune data import webdataset "shards/{000..012}.tar" --classes names.txt --caption "a photo of a {}." --out m.parquet

retune data import webdataset wds_cars/ --classes names.txt --group holdout --dataset cars --out m.parquet --append"""

HF_EXAMPLES = """PATH is what save_to_disk wrote, a folder or file that datasets reads, or with --download a name.

Examples:

retune data import hf saved/flowers --out m.parquet --caption "a photo of a {}, a flower."

retune data import hf flickr8k.parquet --kind retrieval --group holdout --out m.parquet --append

retune data import hf ORG/NAME --download --test-split validation --out m.parquet --append"""

FIF_EXAMPLES = """PATH holds ROOT/ or ROOT.tar of each data set ROOT, and info files in 00_info or data_lib/00_info.

ROOT_train.json and ROOT_test.json are objects of image paths (below ROOT/) with an object each: classname (null where
there are no classes), default_caption (a text or a list of texts) or else synthetic_merged_caption, primer_caption
(from which the prompt is recovered), target (number of the class). ROOT_train_224.json and ROOT_test_224.json: the
same, of smaller images. ROOT_classnames.json: the list of classes, in the order of target. Held-out data sets need
only test.

A stream is a JSON list of "ROOT+++classname": what is trained on. Other classes of its data sets stay among those that
test images are told apart from; other data sets are held out. Its order is not taken: orderings are those of a study.
Data sets of your own need one.

Examples:

retune data import fif data/ --info fomo_in_flux/data_lib/00_info --resized --out fif.parquet

retune data import fif data/ --only DTD --only FLOWERS102 --only MSCOCO --out fif.parquet

retune data import fif data/ --available --stream random_sequence_1.json --out fif.parquet"""

importing = typer.Typer(
    no_args_is_help=True, help="Import images and captions into a manifest.", epilog=IMPORT_EXAMPLES
)

PathArgument = Annotated[Path, typer.Argument(metavar="PATH", help="What to import.", show_default=False)]
OutOption = Annotated[Path, typer.Option(help="The manifest to write, .parquet.", show_default=False)]
AppendOption = Annotated[bool, typer.Option("--append", help="Add to the manifest, or start it.")]
OverwriteOption = Annotated[bool, typer.Option("--overwrite", help="Replace the manifest.")]
BadOption = Annotated[
    str,
    typer.Option(
        help="error: an image that cannot be used ends the import; skip: it is left out, and listed in M.skipped.csv."
    ),
]
DecodeOption = Annotated[
    bool,
    typer.Option("--decode/--no-decode", help="Decode every image once; without, images are only read and hashed."),
]
DatasetOption = Annotated[
    str | None, typer.Option(help="Name of the data set.", show_default="the name of the file or folder")
]
GroupOption = Annotated[
    str | None,
    typer.Option(
        help="adapt: its classes are the stream; holdout: only evaluated; pool: pretraining data to replay.",
        show_default="adapt",
    ),
]
KindOption = Annotated[
    str | None,
    typer.Option(help="classification, or retrieval between images and captions.", show_default="classification"),
]
CaptionOption = Annotated[
    list[str] | None,
    typer.Option(
        help="Template of captions, for images that bring none; may be given more than once.", show_default="none"
    ),
]
TemplateOption = Annotated[
    list[str] | None,
    typer.Option(help="Prompt of a class in evaluation; may be given more than once.", show_default="a photo of a {}."),
]
MetricOption = Annotated[
    str | None,
    typer.Option(help="accuracy, mean_per_class_accuracy or recall@K.", show_default="accuracy; recall@5 of retrieval"),
]
YearOption = Annotated[
    str | None, typer.Option(help="When it appeared, such as 2021 or 2021-03-01, for orderings by time.")
]
ShareOption = Annotated[
    float | None,
    typer.Option(
        help="Share of each class that is tested on, where nothing else divides the images.", show_default="0.2"
    ),
]
SeedOption = Annotated[int, typer.Option(help="Of the division into train and test.")]
ClassesOption = Annotated[
    Path | None, typer.Option(help="File of class names, one a line, of classes that are numbers.", show_default="none")
]


@importing.command("folder", epilog=FOLDER_EXAMPLES)
def import_folder(
    path: PathArgument,
    out: OutOption,
    dataset: DatasetOption = None,
    group: GroupOption = None,
    caption: Annotated[
        list[str] | None,
        typer.Option(
            help="Template of captions; may be given more than once.", show_default="the prompts; a photo of a {}."
        ),
    ] = None,
    template: Annotated[
        list[str] | None,
        typer.Option(help="Prompt of a class in evaluation; may be given more than once.", show_default="the captions"),
    ] = None,
    metric: MetricOption = None,
    year: YearOption = None,
    test_share: ShareOption = None,
    seed: SeedOption = 0,
    test_folder: Annotated[str, typer.Option(help="Folder of the test images, beside train.")] = "test",
    append: AppendOption = False,
    overwrite: OverwriteOption = False,
    on_bad_image: BadOption = "error",
    decode: DecodeOption = True,
) -> None:
    """Import folders of classes; the captions are templates that are filled with the class."""
    from study.data.importers.folder import FolderOptions

    options = FolderOptions(
        data=_data(dataset, group, caption=caption, template=template, metric=metric, year=year),
        division=_division(test_share, seed),
        test_folder=test_folder,
    )
    _import("folder", path, options, out, append=append, overwrite=overwrite, on_bad=on_bad_image, decode=decode)


@importing.command("csv", epilog=CSV_EXAMPLES)
def import_csv(
    path: PathArgument,
    out: OutOption,
    image_column: Annotated[str | None, typer.Option(help="Of paths of images.", show_default="image")] = None,
    caption_column: Annotated[str | None, typer.Option(help="Of captions.", show_default="caption")] = None,
    concept_column: Annotated[str | None, typer.Option(help="Of classes.", show_default="concept")] = None,
    split_column: Annotated[str | None, typer.Option(help="Of train, test, label.", show_default="split")] = None,
    dataset_column: Annotated[str | None, typer.Option(help="Of data sets' names.", show_default="dataset")] = None,
    root: Annotated[
        Path | None, typer.Option(help="Folder that paths are relative to.", show_default="that of the table")
    ] = None,
    dataset: DatasetOption = None,
    group: GroupOption = None,
    split: Annotated[
        str | None, typer.Option(help="Of all images: train, test.", show_default="the column, or a division")
    ] = None,
    kind: KindOption = None,
    caption: CaptionOption = None,
    template: TemplateOption = None,
    metric: MetricOption = None,
    year: YearOption = None,
    test_share: ShareOption = None,
    seed: SeedOption = 0,
    append: AppendOption = False,
    overwrite: OverwriteOption = False,
    on_bad_image: BadOption = "error",
    decode: DecodeOption = True,
) -> None:
    """Import a table that lists images: .csv, .tsv or .parquet. Options fill what the table does not say."""
    from study.data.importers.listing import ListingOptions

    named = {
        "image": image_column,
        "caption": caption_column,
        "concept": concept_column,
        "split": split_column,
        "dataset": dataset_column,
    }
    options = ListingOptions(
        data=_data(dataset, group, kind=kind, caption=caption, template=template, metric=metric, year=year),
        division=_division(test_share, seed),
        split=split,
        columns=tuple((column, name) for column, name in named.items() if name is not None),
        root=root,
    )
    _import("csv", path, options, out, append=append, overwrite=overwrite, on_bad=on_bad_image, decode=decode)


@importing.command("webdataset", epilog=WEBDATASET_EXAMPLES)
def import_webdataset(
    path: Annotated[
        Path,
        typer.Argument(
            metavar="PATH",
            help='A folder of tars (or of train/ and test/ with tars), a tar, or a pattern: "shards/{000..012}.tar".',
            show_default=False,
        ),
    ],
    out: OutOption,
    dataset: DatasetOption = None,
    group: GroupOption = None,
    split: Annotated[
        str | None, typer.Option(help="Of all samples: train, test.", show_default="folders, or a division")
    ] = None,
    kind: KindOption = None,
    classes: ClassesOption = None,
    caption_key: Annotated[
        str | None, typer.Option(help="Key of the caption in json.", show_default="caption or text")
    ] = None,
    concept_key: Annotated[
        str | None, typer.Option(help="Key of the class in json.", show_default="concept, class, label, ...")
    ] = None,
    caption: CaptionOption = None,
    template: TemplateOption = None,
    metric: MetricOption = None,
    year: YearOption = None,
    test_share: ShareOption = None,
    seed: SeedOption = 0,
    append: AppendOption = False,
    overwrite: OverwriteOption = False,
    on_bad_image: BadOption = "error",
    decode: DecodeOption = True,
) -> None:
    """Import WebDataset shards. Images are recorded by their place in the shard; nothing is unpacked."""
    from study.data.importers.webdataset import WebDatasetOptions

    options = WebDatasetOptions(
        data=_data(dataset, group, kind=kind, caption=caption, template=template, metric=metric, year=year),
        division=_division(test_share, seed),
        split=split,
        classes=classes,
        concept_key=concept_key,
        caption_key=caption_key,
    )
    _import("webdataset", path, options, out, append=append, overwrite=overwrite, on_bad=on_bad_image, decode=decode)


@importing.command("hf", epilog=HF_EXAMPLES)
def import_hugging_face(
    path: PathArgument,
    out: OutOption,
    download: Annotated[
        bool, typer.Option("--download", help="PATH may be the name of a data set on the hub, and is fetched.")
    ] = False,
    config: Annotated[
        str | None, typer.Option(help="Configuration, of a data set that has several.", show_default="its default")
    ] = None,
    revision: Annotated[
        str | None, typer.Option(help="Revision, of a data set on the hub.", show_default="the latest")
    ] = None,
    image_column: Annotated[str | None, typer.Option(help="Of images.", show_default="the only one")] = None,
    caption_column: Annotated[
        str | None, typer.Option(help="Of captions.", show_default="caption, text, sentences, ...")
    ] = None,
    concept_column: Annotated[
        str | None, typer.Option(help="Of classes.", show_default="concept, label, ..., or the only ClassLabel")
    ] = None,
    train_split: Annotated[str, typer.Option(help="Name of the split that is trained on.")] = "train",
    test_split: Annotated[str, typer.Option(help="Name of the split that is tested on.")] = "test",
    dataset: DatasetOption = None,
    group: GroupOption = None,
    kind: KindOption = None,
    classes: ClassesOption = None,
    caption: CaptionOption = None,
    template: TemplateOption = None,
    metric: MetricOption = None,
    year: YearOption = None,
    test_share: ShareOption = None,
    seed: SeedOption = 0,
    append: AppendOption = False,
    overwrite: OverwriteOption = False,
    on_bad_image: BadOption = "error",
    decode: DecodeOption = True,
) -> None:
    """Import a data set of Hugging Face. The encoded images go into the manifest; code of a data set is never run."""
    from study.data.importers.hugging_face import HuggingFaceOptions

    options = HuggingFaceOptions(
        data=_data(dataset, group, kind=kind, caption=caption, template=template, metric=metric, year=year),
        division=_division(test_share, seed),
        train_split=train_split,
        test_split=test_split,
        image_column=image_column,
        caption_column=caption_column,
        concept_column=concept_column,
        classes=classes,
        config=config,
        revision=revision,
        download=download,
    )
    _import("hf", path, options, out, append=append, overwrite=overwrite, on_bad=on_bad_image, decode=decode)


@importing.command("fif", epilog=FIF_EXAMPLES)
def import_fomo_in_flux(
    path: PathArgument,
    out: OutOption,
    info: Annotated[
        Path | None,
        typer.Option(help="Folder of the info files.", show_default="PATH/00_info or PATH/data_lib/00_info"),
    ] = None,
    stream: Annotated[
        Path | None,
        typer.Option(
            help='A JSON list of "DATASET+++class": what is trained on; all other data sets are of group holdout.',
            show_default="the published 41 and 22",
        ),
    ] = None,
    only: Annotated[
        list[str] | None, typer.Option(help="A data set to import; may be given more than once.", show_default="all")
    ] = None,
    available: Annotated[
        bool, typer.Option("--available", help="Pass over data sets that have neither a folder nor a tar.")
    ] = False,
    resized: Annotated[
        bool, typer.Option("--resized", help="Take the images of 224 pixels where a data set has them.")
    ] = False,
    append: AppendOption = False,
    overwrite: OverwriteOption = False,
    on_bad_image: BadOption = "error",
    decode: DecodeOption = True,
) -> None:
    """Import the layout of FoMo-in-Flux (arXiv 2408.14471).

    The year of an adapted data set is its place in the published order of releases: 1, 2, ... 15.
    """
    from study.data.importers.fomo_in_flux import FifOptions

    options = FifOptions(info=info, stream=stream, only=tuple(only or ()), available=available, resized=resized)
    _import("fif", path, options, out, append=append, overwrite=overwrite, on_bad=on_bad_image, decode=decode)


def _data(
    name: str | None,
    group: str | None,
    *,
    caption: list[str] | None,
    template: list[str] | None,
    metric: str | None,
    year: str | None,
    kind: str | None = None,
) -> "DataSet":
    from study.data.importers.data_set import DataSet

    return DataSet(
        name=name,
        group=group,
        kind=kind,
        captions=tuple(caption or ()),
        templates=tuple(template or ()),
        metric=metric,
        year=year,
    )


def _division(test_share: float | None, seed: int) -> "Division":
    from study.data.importers.data_set import Division

    return Division(test_share=test_share, seed=seed)


def _import(
    kind: str, path: Path, options: object, out: Path, *, append: bool, overwrite: bool, on_bad: str, decode: bool
) -> None:
    from study.data.check import counts, table
    from study.data.importers import KINDS
    from study.data.importers.intake import Target, write_manifest

    if append and overwrite:
        raise ConfigError("--append adds to the manifest and --overwrite replaces it; give one of them")
    mode: Literal["new", "append", "overwrite"] = "append" if append else "overwrite" if overwrite else "new"
    target = Target(out=out, mode=mode, on_bad=on_bad, decode=decode)
    if kind in ("webdataset", "fif"):  # headers of a million members take minutes
        say(f"reading {path} ...", err=True)
    outcome = write_manifest(KINDS[kind].read(path, options), target)
    for line in table(counts(outcome.added)):
        say(line)
    _tell_skipped(outcome.skipped, target.skipped)
    for problem in outcome.problems:
        say(f"note: {problem}", err=True)
    say(f"{out}: {len(outcome.added)} rows {'added' if append else 'written'}")


def _tell_skipped(skipped: "tuple[Skipped, ...]", listed: Path) -> None:
    bad, others = [one for one in skipped if one.bad], [one for one in skipped if not one.bad]
    if bad:
        counts = {"images that cannot be used": sum(one.count for one in bad)}
        counts["damaged shards, whose rest is lost"] = sum(not one.count for one in bad)
        said = " and ".join(f"{count} {what}" for what, count in counts.items() if count)
        say(f"skipped: {said}; they are listed in {listed}", err=True)
    images, imageless = sum(one.count for one in others), sum(not one.count for one in others)
    parts = [f"{images} images"] * bool(images) + [f"{imageless} entries without images"] * bool(imageless)
    if parts:
        say(f"passed over: {' and '.join(parts)}, which nothing uses; they are listed in {listed}", err=True)
