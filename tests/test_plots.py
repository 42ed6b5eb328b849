"""What pictures show: areas, heights, labels and order are those of the frame, also of empty and of hostile ones."""

from __future__ import annotations

from itertools import pairwise

import pandas as pd
import pytest
from matplotlib.colors import to_rgb

import quotasim as qs
from quotasim import frames, plots
from quotasim.plots.style import FONT_SIZE, shortened, signed_bytes

from .strategies import START

MIB, GIB = 2**20, 2**30
BEGIN = pd.Timestamp(START, tz="UTC")
LONG = "an-organisation/with/deep/paths/and-a-service-with-a-name"


def image(name: str) -> qs.Image:
    base, own = qs.Blob.synthetic("base", 160 * MIB), qs.Blob.synthetic(name, 40 * MIB)
    return qs.Image([base, own], qs.Blob.synthetic(f"{name} config", 30_000))


@pytest.fixture
def registry() -> qs.Registry:
    registry = qs.Registry("acr-premium", start=START)
    for name in ("api", "web"):
        registry.push(f"team/{name}:1", image(name))
    registry.advance("1h")
    return registry


def texts(artists) -> list[str]:
    return [artist.get_text() for artist in artists if artist.get_text()]


def lightness(colour) -> float:
    """How light a colour is in grey, from 0 to 1."""
    red, green, blue = to_rgb(colour)
    return 0.299 * red + 0.587 * green + 0.114 * blue


def drawn(ax):
    """Lay the picture out: nothing may warn, and everything written is large enough and inside."""
    figure = ax.get_figure(root=True)
    figure.draw_without_rendering()
    for one in [ax, *ax.child_axes]:
        written = [*one.texts, one.xaxis.label, one.yaxis.label]
        for axis, limits in ((one.xaxis, sorted(one.get_xlim())), (one.yaxis, sorted(one.get_ylim()))):
            written += [tick.label1 for tick in axis.get_major_ticks() if limits[0] <= tick.get_loc() <= limits[1]]
        written += one.get_legend().get_texts() if one.get_legend() else []
        for text in written:
            if text.get_text() and text.get_visible():
                assert text.get_fontsize() >= FONT_SIZE
                box = text.get_window_extent()
                assert box.x0 >= -1, text.get_text()
                assert box.x1 <= figure.bbox.width + 1, text.get_text()
                assert -1 <= box.y0 <= box.y1 <= figure.bbox.height + 1, text.get_text()
    return ax


# -- the treemap


def sharing(rows) -> pd.DataFrame:
    """A frame of (name, exclusive, attributed)."""
    frame = pd.DataFrame(rows, columns=["name", "exclusive_bytes", "attributed_bytes"])
    return frame.astype({"name": "str", "exclusive_bytes": "int64", "attributed_bytes": "int64"})


def areas(ax) -> dict[str, float]:
    """Areas of the pieces, as parts of the whole, by what they are."""
    width, height = ax.get_xlim()[1], ax.get_ylim()[0]
    pieces = [patch for patch in ax.patches if patch.get_gid()]
    return {patch.get_gid(): patch.get_width() * patch.get_height() / (width * height) for patch in pieces}


def test_areas_are_bytes():
    ax = drawn(plots.treemap(sharing([("a", 10, 40), ("b", 30, 30), ("c", 0, 30)])))
    expected = {"exclusive: a": 0.1, "shared: a": 0.3, "exclusive: b": 0.3, "shared: c": 0.3}
    assert areas(ax) == pytest.approx(expected)
    assert ax.get_xlabel() == "area: attributed bytes, 100 B in all"
    assert texts(ax.texts) == ["a\n40 B", "b\n30 B", "c\n30 B"]
    # Nothing lies over anything else: the pieces fill the place.
    assert sum(areas(ax).values()) == pytest.approx(1)
    styles = [(patch.get_facecolor(), patch.get_hatch()) for patch in ax.get_legend().get_patches()]
    assert lightness(styles[1][0][:3]) - lightness(styles[0][0][:3]) > 0.4
    assert (styles[0][1], styles[1][1]) == (None, "////")


def test_a_registrys_repositories_as_a_treemap(registry):
    frame = frames.repositories(registry.engine)
    ax = drawn(plots.treemap(frame))
    whole = frame["attributed_bytes"].sum()
    for row in frame.itertuples():
        assert areas(ax)[f"exclusive: {row.name}"] == pytest.approx(row.exclusive_bytes / whole)
        shared = row.attributed_bytes - row.exclusive_bytes
        assert areas(ax)[f"shared: {row.name}"] == pytest.approx(shared / whole)
    assert ax.get_figure().get_figwidth() == plots.NOTEBOOK_WIDTH


def test_small_ones_are_one_together_and_grey():
    rows = [("large", 500, 1_000), *((f"small-{number}", 1, 2) for number in range(50))]
    ax = drawn(plots.treemap(sharing(rows)))
    assert areas(ax) == pytest.approx(
        {
            "exclusive: large": 500 / 1_100,
            "shared: large": 500 / 1_100,
            "exclusive: 50 others": 50 / 1_100,
            "shared: 50 others": 50 / 1_100,
        }
    )
    colours = {patch.get_gid(): patch.get_facecolor() for patch in ax.patches if patch.get_gid()}
    red, green, blue, _ = colours["exclusive: 50 others"]
    assert red == green == blue
    few = areas(plots.treemap(sharing([(str(number), 1, 1) for number in range(9)]), most=4))
    assert few["exclusive: 5 others"] == pytest.approx(5 / 9)


def test_names_are_inside_their_rectangles_however_long_they_are():
    rows = [(f"{LONG}-{number}", 2**number, 2 ** (number + 1)) for number in range(30)]
    ax = drawn(plots.treemap(sharing(rows)))
    edges = [patch for patch in ax.patches if not patch.get_gid()]
    assert len(texts(ax.texts)) >= 6
    for text in ax.texts:
        box = text.get_window_extent().transformed(ax.transData.inverted())
        left, right, top, bottom = box.x0, box.x1, min(box.y0, box.y1), max(box.y0, box.y1)
        around = [
            edge
            for edge in edges
            if edge.get_x() <= left
            and right <= edge.get_x() + edge.get_width()
            and edge.get_y() <= top
            and bottom <= edge.get_y() + edge.get_height()
        ]
        assert len(around) == 1, text.get_text()
    assert texts(ax.texts)[0].endswith("1.0 GiB")


def test_a_treemap_of_nothing_and_of_what_cannot_be():
    for rows in ([], [("a", 0, 0)]):
        assert texts(drawn(plots.treemap(sharing(rows))).texts) == ["no bytes"]
    with pytest.raises(qs.InvalidValue, match="exclusive bytes"):
        plots.treemap(sharing([("a", 2, 1)]))
    with pytest.raises(qs.InvalidValue, match=r"^most must be"):
        plots.treemap(sharing([]), most=0)
    huge = drawn(plots.treemap(sharing([("a", 2**61, 2**62), ("b", 1, 1), ("c", 0, 0)])))
    assert texts(huge.texts) == ["a\n4.0 EiB"]
    assert areas(huge) == pytest.approx({"exclusive: a": 0.5, "shared: a": 0.5})
    assert huge.get_xlabel().endswith("4.0 EiB in all; b, 1 B, too small to be seen")


# -- who holds what


def test_cells_are_filled_where_the_image_holds_the_blob(registry):
    frame = frames.holders(registry.engine)
    ax = drawn(plots.holders(frame))
    cells = {patch.get_gid() for patch in ax.patches}
    assert cells == {f"{row.image} {row.digest}" for row in frame.itertuples()}
    assert texts(ax.get_yticklabels()) == ["team/api:1", "team/web:1"]
    labels = texts(ax.get_xticklabels())
    base = frame[frame["holders"] == 2]["digest"].iloc[0]
    assert labels[0] == f"{base.removeprefix('sha256:')[:7]} (2)"  # what most hold is the first
    assert [label.split()[0] for label in labels[3:]] == ["config", "config", "manifest", "manifest"]
    base_cells = [patch for patch in ax.patches if patch.get_gid().endswith(base)]
    assert [patch.get_x() + patch.get_width() / 2 for patch in base_cells] == pytest.approx([0, 0])
    assert [patch.get_y() + patch.get_height() / 2 for patch in base_cells] == pytest.approx([0, 1])


def test_bars_above_the_cells_are_sizes(registry):
    frame = frames.holders(registry.engine)
    ax = plots.holders(frame)
    (bars,) = ax.child_axes
    sizes = frame.drop_duplicates("digest").sort_values(["holders", "size"], ascending=False)["size"]
    assert [patch.get_height() for patch in bars.patches] == sizes.tolist()
    assert bars.get_yscale() == "log"
    assert bars.get_ylabel() == "size\n(log. scale)"
    layers = drawn(plots.holders(frame, blobs=3))
    assert layers.child_axes[0].get_yscale() == "linear"
    assert layers.get_xlabel().endswith("of each image the largest; 4 are left out")
    assert layers.child_axes[0].get_ylabel() == "size (MiB)"
    assert [patch.get_height() for patch in layers.child_axes[0].patches] == [160, 40, 40]


def test_every_image_has_its_largest_blobs_as_columns():
    registry = qs.Registry("refcount", start=START)
    registry.push("large:1", qs.Image([qs.Blob.synthetic(f"layer {number}", 2**number) for number in range(20, 30)]))
    registry.push("small:1", qs.Image([qs.Blob.synthetic("small", 10)]))
    ax = drawn(plots.holders(frames.holders(registry.engine), blobs=3))
    digests = [patch.get_gid().split()[1] for patch in ax.patches if patch.get_gid().startswith("large")]
    wanted = [qs.Blob.synthetic(f"layer {number}", 2**number).digest for number in (28, 29)]
    assert sorted(digests) == sorted(wanted)
    assert [patch.get_gid().split()[0] for patch in ax.patches].count("small:1") == 1


def test_the_more_hold_a_blob_the_lighter_it_is():
    registry = qs.Registry("refcount", start=START)
    for number in range(10):
        shared = [qs.Blob.synthetic(f"of {size}", 100 * size) for size in (2, 9, 10) if number < size]
        registry.push(f"app:{number}", qs.Image([*shared, qs.Blob.synthetic(f"{number}", 50)]))
    frame = frames.holders(registry.engine)
    ax = drawn(plots.holders(frame))
    found = {}
    for patch in ax.patches:
        holders = frame[frame["digest"] == patch.get_gid().split()[1]]["holders"].iloc[0]
        found[holders] = lightness(patch.get_facecolor()[:3])
    steps = [found[count] for count in (1, 2, 9, 10)]
    assert all(lighter - darker > 0.1 for darker, lighter in pairwise(steps))
    assert texts(ax.get_legend().get_texts()) == ["1 image: exclusive", "2 images", "3 to 9", "10 and more"]


def test_unknown_sizes_are_marked_and_nothing_is_said_of_nothing(registry):
    frame = frames.holders(registry.engine, ["team/web:1"])
    frame.loc[0, "size"] = pd.NA
    (bars,) = drawn(plots.holders(frame)).child_axes
    assert texts(bars.texts) == ["?"]
    assert texts(drawn(plots.holders(frame[:0])).texts) == ["no images"]
    with pytest.raises(qs.InvalidValue, match=r"^blobs must be"):
        plots.holders(frame, blobs=0)


# -- the waterfall


def bars_of(ax) -> list[tuple[str, float, float]]:
    """(text, left end, right end) of the bars, from above, in units of the axis."""
    labels = texts(ax.get_yticklabels())
    ends = [sorted((patch.get_x(), patch.get_x() + patch.get_width())) for patch in ax.patches]
    assert [round(patch.get_y() + patch.get_height() / 2) for patch in ax.patches] == list(range(len(labels)))
    return [(label, left, right) for label, (left, right) in zip(labels, ends, strict=True)]


def test_a_waterfall_goes_down_from_what_goes_to_what_is_freed(registry):
    promise = registry.preview(delete=["team/web:1"])
    ax = drawn(plots.waterfall(frames.deletion(promise)))
    logical, freed = promise.logical_bytes / MIB, promise.freed_charged_bytes / MIB
    assert [(text, pytest.approx((left, right))) for text, left, right in bars_of(ax)] == [
        ("what goes, each image on its own", (0, logical)),
        ("still held by other images", (freed, logical)),
        ("freed of the charge, at once", (0, freed)),
        ("freed on the disk, after 5min", (0, freed)),
    ]
    assert texts(ax.texts) == ["200.0 MiB", "\N{MINUS SIGN}160.0 MiB", "40.0 MiB", "40.0 MiB"]
    assert ax.get_xlabel() == "bytes (MiB)"


@pytest.mark.parametrize(
    ("kind", "last"),
    [
        ("refcount", ["freed of the charge and the disk, at once"]),
        ("distribution-2.8", ["freed of the charge and the disk, once collected"]),
        ("gitlab", ["freed of the charge, at once", "freed on the disk alone", "freed on the disk, after 2d"]),
        ("harbor", ["freed of the charge, at once", "freed on the disk, once collected, 2h on"]),
    ],
)
def test_a_waterfall_says_when(registry, kind, last):
    told = registry.under(kind)
    ax = drawn(plots.waterfall(frames.deletion(told.preview(delete=["team/web:1"]))))
    assert texts(ax.get_yticklabels())[-len(last) :] == last


def test_what_is_freed_at_several_times_has_a_bar_for_each(registry):
    registry.delete("team/api:1")
    registry.advance("2min")
    promise = registry.preview(delete=["team/web:1"])
    frame = frames.deletion(promise)
    ax = drawn(plots.waterfall(frame))
    bars = bars_of(ax)
    assert [text for text, _, _ in bars[-3:]] == ["freed on the disk", "after 3min", "after 5min"]
    assert bars[-2][2] == pytest.approx(bars[-1][1])
    assert bars[-1][2] == pytest.approx(bars[-3][2]) == promise.freed_stored_bytes / MIB


def test_a_waterfall_of_nothing(registry):
    registry.lock("team/web:1", delete=False)
    ax = drawn(plots.waterfall(frames.deletion(registry.preview(delete=["team/web:1"]))))
    assert texts(ax.texts) == ["nothing goes that has bytes, and nothing is freed"]


# -- scenarios


def lines(**series) -> pd.DataFrame:
    """A frame of scenarios on a grid of days: (bytes, max_bytes) by name; the other figures have no rows."""
    parts = [
        pd.DataFrame(
            {
                "scenario": name.replace("_", " "),
                "figure": "charged",
                "at": pd.date_range(BEGIN, periods=len(values), freq="D").as_unit("us"),
                "bytes": [value for value, _ in values],
                "max_bytes": [most for _, most in values],
            }
        )
        for name, values in series.items()
    ]
    frame = pd.concat(parts, ignore_index=True)
    frame["scenario"] = pd.Categorical(frame["scenario"], [name.replace("_", " ") for name in series])
    frame["figure"] = pd.Categorical(frame["figure"], frames.FIGURES)
    return frame


def flat(*values) -> list[tuple[int, int]]:
    return [(value * GIB, value * GIB) for value in values]


def test_scenarios_are_steps_with_the_limit():
    ax = drawn(plots.scenarios(lines(as_it_is=flat(4, 6, 8), keep_10=flat(4, 3, 2)), limit=10 * GIB))
    base, other, limit = ax.get_lines()
    assert [line.get_label() for line in (base, other, limit)] == ["as it is", "keep 10", "limit 10.0 GiB"]
    assert base.get_drawstyle() == other.get_drawstyle() == "steps-post"
    assert base.get_ydata().tolist() == [4, 6, 8, 8]
    assert other.get_ydata().tolist() == [4, 3, 2, 2]
    assert limit.get_ydata()[0] == 10
    assert (ax.get_ylabel(), ax.get_xlabel()) == ("charged bytes (GiB)", "time (UTC)")
    assert texts(ax.get_legend().get_texts()) == ["as it is", "keep 10", "limit 10.0 GiB"]
    assert base.get_linewidth() > other.get_linewidth()
    assert base.get_zorder() < other.get_zorder()


def test_eight_scenarios_differ_in_form_and_nine_are_too_many():
    eight = {f"scenario_{number}": flat(number, number + 1) for number in range(8)}
    ax = drawn(plots.scenarios(lines(**eight)))
    forms = {(line.get_linewidth(), str(line._unscaled_dash_pattern)) for line in ax.get_lines()}
    assert len(forms) == 8
    with pytest.raises(qs.InvalidValue, match="at most 8"):
        plots.scenarios(lines(**eight, one_more=flat(1)))


def test_scenarios_that_are_the_same_say_so():
    ax = drawn(plots.scenarios(lines(as_it_is=flat(4, 6), keep_10=flat(4, 5), keep_20=flat(4, 6))))
    assert texts(ax.get_legend().get_texts()) == ["as it is", "keep 10", "keep 20 (the same as as it is)"]
    assert len(ax.get_lines()) == 3


def test_peaks_between_two_rows_are_to_be_seen():
    ax = drawn(plots.scenarios(lines(as_it_is=[(4 * GIB, 4 * GIB), (5 * GIB, 9 * GIB), (5 * GIB, 5 * GIB)])))
    (peaks,) = ax.collections
    ((begin, height), (end, _)) = peaks.get_segments()[0]
    assert (end - begin, height) == (1, 9)  # days
    assert texts(ax.get_legend().get_texts())[-1] == "short and thin: the most in between"
    assert ax.get_ylim()[1] > 9
    assert not plots.scenarios(lines(as_it_is=flat(1, 5, 2))).collections


def test_a_step_can_be_the_most_up_to_the_next():
    swings = [(4 * GIB, 4 * GIB), (5 * GIB, 9 * GIB), (2 * GIB, 5 * GIB)]
    frame = lines(as_it_is=swings, flat=flat(3, 3, 3))
    ax = drawn(plots.scenarios(frame, most=True))
    assert [line.get_ydata().tolist() for line in ax.get_lines()] == [[9, 5, 2, 2], [3, 3, 3, 3]]
    assert ax.get_ylabel() == "charged bytes, the most (GiB)"
    assert not ax.collections  # nothing more is in between
    assert frame.equals(lines(as_it_is=swings, flat=flat(3, 3, 3)))
    with pytest.raises(qs.InvalidValue, match="with max_bytes"):
        plots.scenarios(frame.drop(columns="max_bytes"), most=True)


def test_scenarios_without_rows_and_figures_that_are_not_there():
    frame = lines(as_it_is=flat(1, 2))
    assert texts(drawn(plots.scenarios(frame[:0])).texts) == ["no scenarios"]
    stored = drawn(plots.scenarios(frame, figure="stored"))  # one that never changed has no row
    assert stored.get_lines()[0].get_ydata().tolist() == [0, 0]
    with pytest.raises(qs.InvalidValue, match=r"^figure must be"):
        plots.scenarios(frame, figure="unique")
    part = plots.scenarios(frame, since=BEGIN + pd.Timedelta(hours=12), until=BEGIN + pd.Timedelta(hours=18))
    assert part.get_lines()[0].get_ydata().tolist() == [1, 1]


def changes(figure: str, unit: str, base: float, *values: float) -> pd.DataFrame:
    differences = [value - base for value in values]
    return pd.DataFrame(
        {
            "scenario": [f"scenario {number}" for number in range(len(values))],
            "figure": figure,
            "unit": unit,
            "value": list(values),
            "base_value": base,
            "difference": differences,
            "difference_percent": [100 * change / base if base else float("nan") for change in differences],
        }
    )


def test_differences_have_bars_signs_and_units():
    frame = changes("charged_bytes", "bytes", 4 * GIB, GIB, 5 * GIB, 4 * GIB, 4 * GIB - 1)
    ax = drawn(plots.differences(frame))
    assert [patch.get_width() for patch in ax.patches] == pytest.approx([-3, 1, 0, -1 / GIB])
    assert texts(ax.texts) == [
        "\N{MINUS SIGN}3.0 GiB (\N{MINUS SIGN}75.0 %), to 1.0 GiB",
        "+1.0 GiB (+25.0 %), to 5.0 GiB",
        "no difference",
        "\N{MINUS SIGN}1 B (under 0.1 %), to 4.0 GiB",
    ]
    assert ax.get_xlabel() == "charged: difference (GiB)"
    assert ax.get_title(loc="left") == "beside the base, which has 4.0 GiB"
    assert texts(ax.get_yticklabels()) == [f"scenario {number}" for number in range(4)]
    assert ax.get_ylim()[0] > ax.get_ylim()[1]  # the first is at the top
    assert (ax.patches[0].get_hatch(), ax.patches[1].get_hatch()) == (None, "////")
    (zero,) = ax.get_lines()
    assert list(zero.get_xdata()) == [0, 0]


def test_differences_of_pushes_and_of_gib_days():
    frame = pd.concat(
        [
            changes("refused_pushes", "pushes", 0, 3, 0),
            changes("stored_gib_days", "GiB-days", 1_234.5, 1_000.25, 1_234.5),
        ]
    )
    pushes = drawn(plots.differences(frame, figure="refused_pushes"))
    assert texts(pushes.texts) == ["+3 pushes, to 3 pushes", "no difference"]
    assert pushes.get_xlabel() == "refused: difference (pushes)"
    assert all(float(text).is_integer() for text in texts(pushes.get_xticklabels()))
    days = drawn(plots.differences(frame, figure="stored_gib_days"))
    assert texts(days.texts)[0] == "\N{MINUS SIGN}234.2 GiB-days (\N{MINUS SIGN}19.0 %), to 1,000.2 GiB-days"
    assert days.get_xlabel() == "stored: difference (GiB-days)"


def test_differences_from_what_there_is_not():
    frame = changes("reclaimable_bytes", "bytes", float("nan"), GIB, float("nan"))
    ax = drawn(plots.differences(frame, figure="reclaimable_bytes"))
    assert texts(ax.texts) == ["1.0 GiB", "no such figure"]
    assert [patch.get_width() for patch in ax.patches] == [0, 0]
    assert ax.get_title(loc="left") == "beside the base, which has no such figure"


def test_differences_that_are_not_there_or_do_not_go_together():
    frame = changes("charged_bytes", "bytes", GIB, GIB)
    assert texts(drawn(plots.differences(frame)).texts) == ["no difference"]
    assert texts(drawn(plots.differences(frame[:0])).texts) == ["no scenarios"]
    with pytest.raises(qs.InvalidValue, match=r"^figure must be"):
        plots.differences(frame, figure="stored_bytes")
    with pytest.raises(qs.InvalidValue, match="one base_value"):
        plots.differences(pd.concat([frame, changes("charged_bytes", "bytes", 2, 1)]))


# -- chargeback


def splits(rows) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=["name", "logical_bytes", "attributed_bytes", "exclusive_bytes"])


def test_three_bars_a_name_and_the_sums_beside_the_charge(registry):
    usage = registry.usage()
    frame = frames.sharing(registry.df(by="repository"))
    ax = drawn(plots.chargeback(frame, charged=usage.charged_bytes))
    names = texts(ax.get_yticklabels())
    assert sorted(names) == frame["name"].tolist()
    ordered = frame.set_index("name").loc[names]
    for container, column in zip(ax.containers, ("logical_bytes", "attributed_bytes", "exclusive_bytes"), strict=True):
        assert [patch.get_width() * MIB for patch in container] == pytest.approx(ordered[column].tolist())
    (sums,) = ax.child_axes
    columns = ["logical_bytes", "attributed_bytes", "exclusive_bytes"]
    assert [patch.get_width() * MIB for patch in sums.patches] == pytest.approx(frame[columns].sum().tolist())
    assert sums.get_lines()[0].get_xdata()[0] * MIB == usage.charged_bytes
    assert texts(sums.texts)[1] == f"{qs.format_bytes(usage.charged_bytes)}: the charge"
    assert texts(sums.texts)[0].endswith(f"({signed_bytes(160 * MIB)})")
    assert texts(sums.get_yticklabels()) == ["logical", "attributed", "exclusive"]
    styles = [(lightness(container[0].get_facecolor()[:3]), container[0].get_hatch()) for container in ax.containers]
    assert styles[0][0] > styles[1][0] + 0.2 > styles[2][0] + 0.4


def test_many_names_are_gathered_and_what_nobody_holds_is_the_last():
    rows = [("(unattributed)", 0, 900, 900), *((f"{LONG}-{number}", 9, number, 1) for number in range(20))]
    ax = drawn(plots.chargeback(splits(rows), most=4))
    names = texts(ax.get_yticklabels())
    assert names[4:] == ["16 others", "(unattributed)"]
    assert [name[-3:] for name in names[:4]] == ["-19", "-18", "-17", "-16"]
    bars = [(round(patch.get_y() + patch.get_height() / 2), patch.get_width()) for patch in ax.containers[1]]
    assert bars == [(0, 19), (1, 18), (2, 17), (3, 16), (5, 900)]
    # Of the others there are only numbers: their bars would make all others small.
    assert texts(ax.texts)[4] == "logical 144 B, attributed 120 B, exclusive 16 B"
    assert not ax.child_axes[0].get_lines()  # no charge is given


def test_one_name_too_many_has_bars_of_its_own():
    rows = [(name, 9, size, 1) for name, size in (("a", 5), ("b", 4), ("c", 3))]
    ax = drawn(plots.chargeback(splits(rows), most=2))
    assert texts(ax.get_yticklabels()) == ["a", "b", "c"]
    assert texts(drawn(plots.chargeback(splits(rows), most=1)).get_yticklabels()) == ["a", "2 others"]


def test_a_chargeback_of_nothing():
    ax = drawn(plots.chargeback(splits([])))
    assert texts(ax.texts) == ["nobody to split a charge between"]
    assert texts(drawn(plots.chargeback(splits([("a", 0, 0, 0)]), charged=0)).texts) == ["0 B attributed"]
    with pytest.raises(qs.InvalidValue, match=r"^most must be"):
        plots.chargeback(splits([]), most=0)


# -- what they have in common


def test_a_legend_has_as_many_columns_as_there_is_room_for(registry):
    ax = plots.usage(frames.usage_over_time(registry.engine), limit=GIB)
    legend = plots.legend(drawn(ax))
    drawn(ax)
    assert texts(legend.get_texts()) == [
        "stored: on the registry's disk",
        "logical: every image on its own",
        "charged: what the quota counts",
        "reported: what the display shows",
        "limit 1.0 GiB",
    ]
    assert legend.get_window_extent().y0 >= ax.get_window_extent().y1 - 1  # nothing is covered
    assert legend._ncols == 2
    few = plots.usage(frames.usage_over_time(registry.engine)[:1])
    assert plots.legend(few, few.get_lines()[:1])._ncols == 1


def test_pictures_are_drawn_where_one_is_told(registry):
    frame = frames.usage_over_time(registry.engine)
    scenario = frame.assign(scenario=pd.Categorical(["as it is"] * len(frame)), max_bytes=frame["bytes"])
    _, places = plots.new_figure(rows=6, width=7)
    drawings = [
        lambda ax: plots.treemap(frames.repositories(registry.engine), ax),
        lambda ax: plots.holders(frames.holders(registry.engine), ax),
        lambda ax: plots.waterfall(frames.deletion(registry.preview(delete=["team/web:1"])), ax),
        lambda ax: plots.scenarios(scenario, ax),
        lambda ax: plots.differences(changes("charged_bytes", "bytes", 1, 2), ax),
        lambda ax: plots.chargeback(frames.repositories(registry.engine), ax),
    ]
    for draw, ax in zip(drawings, places, strict=True):
        assert draw(ax) is ax
        assert ax.has_data() or ax.patches


@pytest.mark.parametrize("most", range(12))
def test_shortened_texts_are_not_longer(most):
    text = shortened("team/web:v1.20", most)
    assert len(text) <= max(most, 1)
    assert "…" in text
