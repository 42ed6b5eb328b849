"""What is measured, fitted and drawn again: held to plain loops, to the engine, and to the real history."""

from __future__ import annotations

from dataclasses import fields, replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import quotasim as qs
from quotasim import workloads
from quotasim.errors import InvalidValue
from quotasim.importers.tables import read_tables
from quotasim.importers.trace_table import TraceOp, trace_from_tables
from quotasim.importers.traces import read_trace
from quotasim.kernels import NULL
from quotasim.model.oci import Kind
from quotasim.workloads import Calibration, Distribution, ks_distance, measure
from quotasim.workloads.calibration import SHARING_CLASSES, fit, fit_measures
from quotasim.workloads.measure import MEASURES

from .trace_lines import write_lines

ODD, EVEN = (1, 3, 5, 7, 9, 11), (2, 4, 6, 8, 10, 12)


# -- measuring -----------------------------------------------------------------------------------------


def replayed_with_sets(trace):
    """The share of new bytes of every image that comes to life, by plain sets and dictionaries."""
    content = trace.manifests
    layers = [
        set(content.target[content.indptr[m] : content.indptr[m + 1]].tolist())
        if content.kind[m] == Kind.IMAGE
        else set()
        for m in range(len(content.digest))
    ]
    tags, untagged, found = {}, set(), []

    def alive():
        return {manifest for _, manifest in untagged} | {manifest for _, manifest in tags.values()}

    for batch in sorted(set(trace.batch.tolist())):
        part = np.flatnonzero(trace.batch == batch)
        kept = alive()  # nothing dies before all of a batch was added
        for row in part:
            link = int(trace.repository[row]), int(trace.manifest[row])
            if trace.op[row] in (TraceOp.PUSH, TraceOp.TAG):
                held = set().union(*(layers[m] for m in kept))
                if link[1] not in kept and layers[link[1]]:
                    total = sum(trace.blobs.size[list(layers[link[1]])])
                    found.append(sum(trace.blobs.size[list(layers[link[1]] - held)]) / total)
                kept.add(link[1])
                if trace.tag[row] == NULL:
                    untagged.add(link)
                else:
                    tags[int(trace.repository[row]), int(trace.tag[row])] = link
        for row in part:
            key, link = (
                (int(trace.repository[row]), int(trace.tag[row])),
                (int(trace.repository[row]), int(trace.manifest[row])),
            )
            if trace.op[row] == TraceOp.UNTAG and (link[1] == NULL or tags.get(key) == link):
                tags.pop(key, None)
            elif trace.op[row] == TraceOp.DELETE:
                untagged.discard(link)
                tags = {one: bound for one, bound in tags.items() if bound != link}
    return found


@pytest.mark.parametrize("name", sorted(set(workloads.GENERATORS) - {"failed_pushes", "one_gb"}))
def test_new_bytes_are_what_plain_sets_find(name):
    from .test_workloads import generate

    small = {"hub_like": {"manifests": 150}, "ci": {"services": 1}}.get(name, {})
    stream = generate(name, **small)
    assert measure(stream).new_share.tolist() == replayed_with_sets(stream)


def image(number, *layers):
    return {
        "manifest": f"sha256:{number:064}",
        "layers": [{"digest": f"sha256:{one + 1000:064}", "size": 2**one} for one in layers],
    }


EVENT = st.fixed_dictionaries(
    {
        "op": st.sampled_from(["push", "push", "push", "untag", "delete"]),
        "repository": st.sampled_from(["a", "b"]),
        "tag": st.sampled_from([None, "v", "w"]),
        "number": st.integers(0, 3),
        "apart": st.booleans(),
    }
)
LAYERS = ((0, 1), (1, 2, 2), (3,), (0, 3, 4))


@settings(max_examples=150)
@given(drawn=st.lists(EVENT, min_size=1, max_size=14))
def test_new_bytes_of_any_history_are_what_plain_sets_find(tmp_path_factory, drawn):
    lines, batch = [], 0
    for number in range(4):  # all content is told first
        lines.append(
            {"time": 0, "batch": 0, "op": "push", "repository": "first", "tag": f"t{number}"}
            | image(number, *LAYERS[number])
        )
    for number in range(3):
        lines.append({"time": 0, "batch": 1, "op": "untag", "repository": "first", "tag": f"t{number}"})
    batch = 1
    for one in drawn:
        batch += one["apart"]
        line = {"time": 0, "batch": batch, "op": one["op"], "repository": one["repository"]}
        if one["op"] == "untag":
            line["tag"] = one["tag"] or "v"
        else:
            line["manifest"] = image(one["number"])["manifest"]
            if one["op"] == "push" and one["tag"]:
                line["tag"] = one["tag"]
        lines.append(line)
    trace = read_trace(write_lines(tmp_path_factory.getbasetemp() / "any.jsonl.zst", lines))
    assert measure(trace).new_share.tolist() == replayed_with_sets(trace)


def test_new_bytes_are_what_the_engine_finds():
    """Under the kind that lets go of everything at once; configs and manifests, which are not measured, taken off."""
    stream = workloads.hub_like(manifests=300, seed=5)
    log = qs.replay(stream, profile="refcount").events()
    pushed = log[log["kind"] == "PUSH"]
    content = stream.manifests
    pushes = np.flatnonzero(stream.op == TraceOp.PUSH)
    manifest = stream.manifest[pushes]
    own = content.size[manifest] + stream.blobs.size[content.config[manifest]]
    total = np.add.reduceat(stream.blobs.size[content.target], content.indptr[:-1])[manifest]
    assert measure(stream).new_share.tolist() == ((pushed["stored_bytes"].to_numpy() - own) / total).tolist()


def test_what_is_measured_of_a_small_history(tmp_path):
    hour = 3_600_000_000
    january, february = 0, 31 * 24 * hour

    def push(time, tag, number, *layers):
        return {"time": time, "batch": time // hour, "op": "push", "repository": "a", "tag": tag} | image(
            number, *layers
        )

    lines = [
        push(january, "v", 0, 0, 1),
        push(january, "w", 1, 1, 1, 2),
        push(january + hour, "v", 2, 1, 2),
        push(february, "v", 3, 1, 3),
        {"time": february + hour, "batch": february // hour + 1, "op": "untag", "repository": "a", "tag": "v"},
    ]
    trace = read_trace(write_lines(tmp_path / "t.jsonl.zst", lines))
    found = measure(trace)
    assert found.layers.tolist() == [2, 2, 2, 2]
    assert found.layer_size.tolist() == [1, 2, 4, 8]
    assert found.sharing.tolist() == [1, 4, 2, 1]
    assert found.image_size.tolist() == [3, 6, 6, 10]
    assert found.new_share.tolist() == [1, 4 / 6, 0, 8 / 10]
    assert found.unchanged == 1 / 4
    assert found.repush_gap.tolist() == [3_600, 31 * 24 * 3_600 - 3_600]
    assert found.pushes_per_tag.tolist() == [3, 1]
    assert sorted(found.images_per_push.tolist()) == [1, 1, 2]
    assert found.tag_lifetime.tolist() == [31 * 24 * 3_600 + 3_600]
    assert found.kept == 0.5
    second = measure(trace, months=[2])
    assert second.sharing.tolist() == [1, 1]
    assert second.layer_size.tolist() == [2, 8]
    assert second.new_share.tolist() == [8 / 10]  # what January left is known
    only = measure(trace, only=np.array([True, False, False, False]))
    assert only.new_share.tolist() == [1]
    for months in ((), (0,), (13,), (3,)):
        with pytest.raises(InvalidValue):
            measure(trace, months=months)


def test_the_distance_of_distributions():
    one = np.random.default_rng(1).integers(0, 20, 50)
    other = np.random.default_rng(2).integers(5, 30, 70)
    at = np.arange(40)
    expected = max(abs((one <= x).mean() - (other <= x).mean()) for x in at)
    assert ks_distance(one, other) == pytest.approx(expected, abs=1e-12) == ks_distance(other, one)
    assert ks_distance(one, one) == 0
    assert ks_distance([1], [2]) == 1
    with pytest.raises(InvalidValue, match=r"^other must be"):
        ks_distance([1], [])


# -- the table -----------------------------------------------------------------------------------------


def test_the_table_is_written_and_read_again(tmp_path):
    calibration = Calibration.fitted()
    calibration.write(tmp_path / "one.csv")
    again = Calibration.read(tmp_path / "one.csv")
    assert again == calibration
    again.write(tmp_path / "two.csv")
    assert (tmp_path / "one.csv").read_bytes() == (tmp_path / "two.csv").read_bytes()


@pytest.mark.parametrize(
    ("change", "name"),
    [
        (lambda text: text.replace("probability,", "chance,", 1), "path"),
        (lambda text: "", "path"),
        (lambda text: text + "colour,step,1,3\n", "path"),
        (lambda text: text.replace("unchanged,step,1,", "unchanged,step,1,1,", 1), "path"),
        (lambda text: "".join(line for line in text.splitlines(True) if not line.startswith("kept")), "path"),
        (lambda text: text.replace("kept,step,1,", "kept,step,1,x", 1), "kept"),
        (lambda text: text.replace("kept,step,1,0", "kept,step,1,7", 1), "kept"),
        (lambda text: text.replace("layers,step,", "layers,log,", 1), "layers"),
    ],
)
def test_a_table_that_is_none_is_refused(tmp_path, change, name):
    path = tmp_path / "table.csv"
    Calibration.fitted().write(path)
    text = path.read_text()
    assert change(text) != text
    path.write_text(change(text))
    with pytest.raises(InvalidValue, match=f"^{name} must be"):
        Calibration.read(path)


@pytest.mark.parametrize(
    "change",
    [
        {"layer_size": ()},
        {"unchanged": 2.0},
        {"layers": Distribution.always(0)},
        {"sharing": Distribution.always(0.5)},
        {"new_share": Distribution.between(0, 2, "linear")},
    ],
)
def test_a_calibration_that_cannot_be_is_refused(change):
    (name,) = change
    with pytest.raises(InvalidValue, match=f"^{name} must be"):
        replace(Calibration.fitted(), **change)


# -- drawing again -------------------------------------------------------------------------------------


def test_what_is_generated_is_what_the_table_says():
    calibration = Calibration.fitted()
    found = measure(workloads.hub_like(manifests=20_000, seed=2))
    rng = np.random.default_rng(0)
    for name in ("layers", "sharing"):
        drawn = getattr(calibration, name).spread(rng, 100_000)
        assert ks_distance(getattr(found, name), drawn) < 0.005, name
    for number, sizes in enumerate(calibration.layer_size):
        mine = found.layer_size[np.searchsorted(SHARING_CLASSES, found.sharing) == number]
        assert ks_distance(mine, np.rint(sizes.spread(rng, 100_000))) < 0.001 + 1.5 / mine.size, number
    zeros = np.zeros(round(100_000 * calibration.unchanged / (1 - calibration.unchanged)))
    drawn = np.concatenate((zeros, calibration.new_share.spread(rng, 100_000)))
    assert ks_distance(found.new_share, drawn) < 0.04
    assert ks_distance(found.pushes_per_tag, calibration.pushes_per_tag.spread(rng, 100_000)) < 0.08


@settings(max_examples=30)
@given(
    layers=st.integers(1, 6),
    sharing=st.integers(1, 9),
    unchanged=st.floats(0, 1),
    manifests=st.integers(1, 120),
    seed=st.integers(0, 99),
)
def test_any_calibration_gives_a_stream(layers, sharing, unchanged, manifests, seed):
    calibration = replace(
        Calibration.fitted(),
        layers=Distribution.always(layers),
        sharing=Distribution.always(sharing),
        unchanged=unchanged,
    )
    stream = workloads.hub_like(manifests=manifests, calibration=calibration, seed=seed)
    found = measure(stream)
    assert found.layers.tolist() == [layers] * manifests
    # All but the last of each lane are used by as many images as asked.
    assert np.sum(found.sharing != sharing) <= layers
    assert found.sharing.max() <= sharing
    qs.replay(stream, profile="refcount").check()


def test_fitting_what_was_generated_gives_it_back():
    stream = workloads.hub_like(manifests=3_000, seed=8)
    again = fit(stream)
    assert again.layers == Distribution.of(measure(stream).layers, "step")
    assert (
        again.sharing.at(np.array([0.5, 0.9])).tolist()
        == Calibration.fitted().sharing.at(np.array([0.5, 0.9])).tolist()
    )
    assert len(fields(again)) == len(fields(Calibration))


# -- the real history ----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def real(real_data):
    trace = trace_from_tables(read_tables(real_data / "repo_info"))
    only = trace.manifests.media_type != NULL  # listings of the schema 1 era have none
    return trace, {months: measure(trace, months=months, only=only) for months in (ODD, EVEN)}


def test_the_table_is_what_the_script_fits(real, root, tmp_path):
    trace, _ = real
    fit(trace, only=trace.manifests.media_type != NULL).write(tmp_path / "table.csv")
    committed = root / "quotasim" / "workloads" / "distributions.csv"
    assert (tmp_path / "table.csv").read_text() == committed.read_text()


@pytest.mark.parametrize("seed", range(5))
def test_what_odd_months_teach_is_as_near_to_even_months_as_they_are(real, seed):
    _, measured = real
    odd, even = measured[ODD], measured[EVEN]
    stream = workloads.hub_like(manifests=odd.layers.size, calibration=fit_measures(odd), seed=seed)
    found = measure(stream)
    for name in MEASURES:
        between = ks_distance(getattr(odd, name), getattr(even, name))
        assert ks_distance(getattr(found, name), getattr(even, name)) <= max(1.5 * between, 0.02), name
