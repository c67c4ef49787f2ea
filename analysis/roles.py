"""What the columns of a trials table are for, and what its methods are called: the roles, carried as one value.

An axis of role `method` says what a method is and how it is set: two methods may differ in it, and each is judged at
its best value. One of role `merging` says what is merged, and how. Those of `training` and `stream` say how all methods
were trained and on what: methods are compared where these agree.

What holds for a column, the first of these that says something:

1. the user's own file (`--axes`), since nobody knows the table better;
2. the metadata of the column, which whoever wrote the table gave it, as retune does;
3. the cells of the column, whatever its name: an axis that some methods have and others lack is a setting of those
   that have it, and one that is there exactly where weights merge is a setting of merging (`tables.column_roles`);
4. a standard name of the literature (below);
5. `training`, so that nothing is compared that may have been trained otherwise.

A table that retune wrote before it gave its columns metadata has all of its standard names, which then go before the
cells: they say for certain what the columns are, and empty cells may be switches, or a grid that is not crossed.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Literal, NamedTuple, get_args

Role = Literal["method", "merging", "training", "stream"]
ROLES: tuple[Role, ...] = get_args(Role)
SWITCH, OF_RULE, WHOLE = "switch", "of-rule", "whole"
MARKS = (SWITCH, OF_RULE, WHOLE)
"""What may be said beside a role: no value means off, the default follows the merge rule, numbers are whole."""

OTHER = "other"
GROUPS = ("full", "selective", "adapter", "projected", "penalised", "nothing trained", OTHER)
RATE = "lr"
"""The learning rate: all methods have one, and each is judged at its best."""


@dataclass(frozen=True, kw_only=True)
class Column:
    """The role of a column, and the marks of its values."""

    role: Role
    marks: frozenset[str] = frozenset()


class Named(NamedTuple):
    """A method's name and group, as reports show them."""

    name: str
    group: str


def _columns(role: Role, names: str, *marks: str) -> dict[str, Column]:
    return dict.fromkeys(names.split(), Column(role=role, marks=frozenset(marks)))


# Names that the literature and tables of older versions use. They stay for tables that say nothing themselves, need no
# entry for a new method or hyperparameter, and are never asked where a table says what its columns and methods are.
RETUNE_COLUMNS: Mapping[str, Column] = {
    **_columns("method", "method penalty projection alpha targets towers layers logit_scale strength gamma xi scale"),
    **_columns("method", "side scaling peft_type arguments lifetime"),
    **_columns("method", "rank n fisher_samples gap block_size frequencies", WHOLE),
    **_columns("merging", "timeline start serve rule w recency merge_logit_scale"),
    **_columns("merging", "chain merge_scale density prune_top mask_strength lines_first lines_more", OF_RULE),
    **_columns("merging", "agree", OF_RULE, WHOLE),
    **_columns("merging", "wise_ft lines", SWITCH),
    **_columns("training", "online_ema temperature buffer_size peaks", SWITCH),
    **_columns("training", "cooldown buffer_policy"),
    **_columns("stream", "steps_factors", SWITCH),
    **_columns("stream", "embedding start_concept"),
}
"""Axes of retune that may have no value, when its tables did not say yet what their columns are."""
STANDARD_COLUMNS: Mapping[str, Column] = {
    **RETUNE_COLUMNS,
    **_columns("training", "model pretrained parameters"),
    **_columns("stream", "dataset", SWITCH),
}
"""These and the columns of others that findings ask for."""
STANDARD_METHODS: Mapping[str, Named] = {
    "full": Named("full fine-tuning", "full"),
    "zeroshot": Named("zero-shot", "nothing trained"),
    "lnfit": Named("LNFit", "selective"),
    "bitfit": Named("BitFit", "selective"),
    "locked_image": Named("locked image", "selective"),
    "locked_text": Named("locked text", "selective"),
    "freeze_first_layers": Named("freeze first layers", "selective"),
    "freeze_last_layers": Named("freeze last layers", "selective"),
    "freeze_attention": Named("freeze attention", "selective"),
    "freeze_mlp": Named("freeze MLP", "selective"),
    "lora": Named("LoRA", "adapter"),
    "dora": Named("DoRA", "adapter"),
    "vera": Named("VeRA", "adapter"),
    "ia3": Named("(IA)3", "adapter"),
    "rslora": Named("rsLoRA", "adapter"),
    "pissa": Named("PiSSA", "adapter"),
    "oft": Named("OFT", "adapter"),
    "loha": Named("LoHa", "adapter"),
    "lokr": Named("LoKr", "adapter"),
    "fourierft": Named("FourierFT", "adapter"),
    "peft": Named("PEFT", "adapter"),
    "galore": Named("GaLore", "projected"),
    "ewc": Named("EWC", "penalised"),
    "si": Named("SI", "penalised"),
    "l2init": Named("L2 init", "penalised"),
    "joint": Named("joint", "full"),
}


@dataclass(frozen=True, kw_only=True)
class Roles:
    """What is known of columns and methods.

    `said` is what the user's file or the metadata say, `seen` what the cells show, `integers` are the columns whose
    type is a whole number. A method that nothing names goes by its own name, in the group `OTHER`.
    """

    said: Mapping[str, Column] = field(default_factory=dict)
    seen: Mapping[str, Column] = field(default_factory=dict)
    methods: Mapping[str, Named] = field(default_factory=dict)
    integers: frozenset[str] = frozenset()

    def column(self, name: str) -> Column:
        """The role of a column and the marks of its values."""
        found = self.said.get(name) or self.seen.get(name) or STANDARD_COLUMNS.get(name)
        return found or Column(role="training")

    def of_role(self, names: Iterable[str], role: Role) -> tuple[str, ...]:
        """Those of some columns that have a role."""
        return tuple(name for name in names if self.column(name).role == role)

    def marked(self, names: Iterable[str], mark: str) -> frozenset[str]:
        """Those of some columns that have a mark."""
        return frozenset(name for name in names if mark in self.column(name).marks)

    def is_switch(self, name: str) -> bool:
        """Whether an axis without a value is off, and not one that does not apply."""
        return SWITCH in self.column(name).marks

    def is_whole(self, name: str) -> bool:
        """Whether the numbers of a column are whole, which a column with gaps cannot show."""
        return name in self.integers or WHOLE in self.column(name).marks

    def method(self, method: str) -> Named:
        """A method's name and group."""
        return self.methods.get(method) or STANDARD_METHODS.get(method) or Named(method, OTHER)


STANDARD = Roles()
"""Standard names alone."""
