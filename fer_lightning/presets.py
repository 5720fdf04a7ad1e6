"""Recipes with a name: options that ``fit`` and ``crossval`` take before the user's own, which win."""

from collections.abc import Sequence

from fer_lightning.errors import UserError

_STRONG = {
    "data.augment": "strong",
    "data.batch_size": "256",
    "data.drop_leaks": "true",
    "data.clean": "true",
    "trainer.max_epochs": "60",
}
PRESETS = {
    "paper": {"data.augment": "light", "data.batch_size": "128", "trainer.max_epochs": "30"},
    "strong": _STRONG,
    "best": {**_STRONG, "data.augment": "light", "trainer.max_epochs": "150"},
}
"""``paper``: small changes of the faces, as the paper's time knew them; ``fit`` does so by itself. ``strong``: strong
changes, cleaned training rows, large batches, a longer training. ``best``: the same with small changes, with which
``improved_cnn`` did better, and longer still. docs/experiments.md logs what was measured.
"""


def expanded(words: Sequence[str]) -> list[str]:
    """Return the words of a command line with ``--preset NAME`` written out before the user's own options.

    Raises:
        UserError: If there is no such preset.
    """
    kept: list[str] = []
    chosen: dict[str, str] = {}
    place = 0  # behind a config, which names every option
    rest = iter(words)
    for word in rest:
        option, equals, value = word.partition("=")
        if option == "--preset":
            name = value if equals else next(rest, "")
            if name not in PRESETS:
                raise UserError(f"--preset {name}: choose from {', '.join(PRESETS)}")
            chosen = PRESETS[name]
            continue
        kept.append(word)
        if option == "--config":
            kept += [] if equals else [next(rest, "")]
            place = len(kept)
    written = [word for name, value in chosen.items() for word in (f"--{name}", value)]
    return kept[:place] + written + kept[place:]
