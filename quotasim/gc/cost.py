"""How long a run of a collector takes, how long the registry is read only, and what a run has freed that is cut off.

A run is counted in requests: marking lists and reads, sweeping deletes. Requests of one worker follow each other, so
the time is their number times what one takes, divided by the workers; a limit of deletions a minute is a floor.
Nothing here deletes anything, and there is no clock: equal arguments give equal numbers.

All durations are whole microseconds, as :func:`quotasim.units.parse_duration` gives them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from quotasim.errors import InvalidValue
from quotasim.gc.plan import GcPlan
from quotasim.model.totals import exact_sum
from quotasim.units import whole_number

Array = npt.NDArray[Any]

MINUTE = 60_000_000
COUNT = "a whole number, 0 or more"
WORKERS = "a number of workers, 1 or more"
LONGEST = 2**62
"""Microseconds, 146,000 years: beyond it sums of int64 would overflow."""


@dataclass(frozen=True, slots=True)
class StoreTimes:
    """What one request takes, seen by a collector that waits for it. By kind of store, never by registry.

    Attributes
    ----------
    name : the kind of store.
    list, read, delete : microseconds of listing one directory, of reading one small object (or one row), and of
        deleting one blob with all that the collector does for it.

    Raises
    ------
    InvalidValue : a time is not a whole number, 0 or more.

    Examples
    --------
    >>> StoreTimes("tape", list=90_000_000, read=90_000_000, delete=0).read
    90000000
    """

    name: str
    list: int
    read: int
    delete: int

    def __post_init__(self) -> None:
        for name in ("list", "read", "delete"):
            whole_number(getattr(self, name), name=name, expected=f"{COUNT}, of microseconds")


STORES: Mapping[str, StoreTimes] = MappingProxyType(
    {
        "filesystem": StoreTimes("filesystem", list=337, read=337, delete=1_295),
        "remote": StoreTimes("remote", list=66_243, read=66_243, delete=615_370),
        "database": StoreTimes("database", list=1_196, read=1_196, delete=0),
    }
)
"""Fitted to data/gc_runs.csv (:mod:`quotasim.gc.calibration`; a test compares). ``remote``: S3, GCS, MinIO, Azure Blob
and Swift in one, since the reports are too few to tell them apart. Lists and reads are one number: no report separates
them. ``docs/gc-cost.md`` says how far off they are.
"""


@dataclass(frozen=True, slots=True)
class Requests:
    """How many directories are listed and how many objects (or rows) are read for one thing."""

    lists: int = 0
    reads: int = 0

    def __post_init__(self) -> None:
        whole_number(self.lists, name="lists", expected=COUNT)
        whole_number(self.reads, name="reads", expected=COUNT)


@dataclass(frozen=True, slots=True, eq=False)
class Work:
    """What there is to walk, and what is to go. Make it with :meth:`of_plan` or :meth:`of_counts`.

    Attributes
    ----------
    stored_blobs, linked_manifests, blob_links : how many the store holds.
    mark_tags : over all linked manifests, the number of tags in each one's repository.
    manifest_tags : int64[M], for each manifest that goes, in order, the tags in its repository.
    blob_bytes : int64[N], bytes of each blob that goes, in order.

    Notes
    -----
    ``a + b`` is one run over both, a's deletions of each sort first. The arrays are not to be written to.
    """

    stored_blobs: int
    linked_manifests: int
    blob_links: int
    mark_tags: int
    manifest_tags: Array
    blob_bytes: Array

    def __post_init__(self) -> None:
        for name in ("stored_blobs", "linked_manifests", "blob_links", "mark_tags"):
            whole_number(getattr(self, name), name=name, expected=COUNT)
        for name in ("manifest_tags", "blob_bytes"):
            values = np.asarray(getattr(self, name))
            if values.ndim != 1 or (values.size and (values.dtype.kind not in "iu" or values.min() < 0)):
                raise InvalidValue(name, values, "whole numbers, 0 or more, in one dimension")
            object.__setattr__(self, name, values.astype(np.int64))

    @classmethod
    def of_counts(
        cls,
        *,
        stored_blobs: int = 0,
        linked_manifests: int = 0,
        blob_links: int = 0,
        mark_tags: int = 0,
        manifests: int = 0,
        tags_each: int = 0,
        blobs: int = 0,
        total_bytes: int = 0,
    ) -> Work:
        """Return the work of a run of which only totals are known.

        Parameters
        ----------
        manifests, blobs : how many go.
        tags_each : tags in the repository of each manifest that goes.
        total_bytes : of the blobs that go; spread over them evenly, the first ones a byte larger.

        Raises
        ------
        InvalidValue : not a whole number, 0 or more; or bytes without blobs.

        Examples
        --------
        >>> Work.of_counts(blobs=3, total_bytes=11).blob_bytes.tolist()
        [4, 4, 3]
        """
        for name, value in (("manifests", manifests), ("blobs", blobs), ("tags_each", tags_each)):
            whole_number(value, name=name, expected=COUNT)
        whole_number(total_bytes, name="total_bytes", expected=COUNT)
        if total_bytes and not blobs:
            raise InvalidValue("total_bytes", total_bytes, "0 where no blob goes")
        each, rest = divmod(total_bytes, max(blobs, 1))
        sizes = np.full(blobs, each, np.int64)
        sizes[:rest] += 1
        tags = np.full(manifests, tags_each, np.int64)
        return cls(stored_blobs, linked_manifests, blob_links, mark_tags, tags, sizes)

    @classmethod
    def of_plan(
        cls,
        plan: GcPlan,
        *,
        blob_bytes: Array,
        stored_blobs: int,
        manifests: Mapping[str, int],
        tags: Mapping[str, int],
        blob_links: int = 0,
    ) -> Work:
        """Return the work of carrying out a plan, in its order: links by repository and digest, then blobs by digest.

        Parameters
        ----------
        blob_bytes : int64[N], sizes of ``plan.blobs``.
        stored_blobs, blob_links : of the whole registry.
        manifests, tags : by repository, linked manifests and tags. A repository that is absent has none.

        Raises
        ------
        InvalidValue : sizes that are not those of the plan's blobs.
        """
        sizes = np.asarray(blob_bytes)
        if sizes.shape != plan.blobs.shape or (sizes.size and exact_sum(sizes) != plan.reclaimable_bytes):
            expected = f"the sizes of the plan's {plan.blobs.size} blobs, {plan.reclaimable_bytes} bytes together"
            raise InvalidValue("blob_bytes", sizes, expected)
        removed = np.array([tags.get(repository, 0) for repository, _ in plan.removed], np.int64)
        walked = sum(count * tags.get(repository, 0) for repository, count in manifests.items())
        return cls(stored_blobs, sum(manifests.values()), blob_links, walked, removed, sizes)

    @property
    def manifests(self) -> int:
        """How many manifests go."""
        return int(self.manifest_tags.size)

    @property
    def blobs(self) -> int:
        """How many blobs go."""
        return int(self.blob_bytes.size)

    def __add__(self, other: Work) -> Work:
        """Return one run over both."""
        return Work(
            self.stored_blobs + other.stored_blobs,
            self.linked_manifests + other.linked_manifests,
            self.blob_links + other.blob_links,
            self.mark_tags + other.mark_tags,
            np.concatenate((self.manifest_tags, other.manifest_tags)),
            np.concatenate((self.blob_bytes, other.blob_bytes)),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class CostModel:
    """How a collector goes about it. ``dataclasses.replace`` makes a variant.

    Attributes
    ----------
    mark, sweep : times of what marking reads (a store, or a database) and of the store that is swept.
    mark_workers, sweep_workers : how many requests are under way at a time.
    per_blob, per_manifest, per_blob_link, per_candidate : what marking asks for each stored blob, linked manifest, blob
        link, and thing to be deleted.
    tag_lookups : ``"mark"``: marking reads every tag of the repository for every manifest; ``"delete"``: deleting a
        manifest does; ``"never"``.
    deletes_per_minute : what the service allows, or None.
    sweeps_blobs : False: the run deletes manifests only, and the service takes blobs by itself.
    read_only : the part of a run in which nothing may be pushed: ``"never"``, ``"mark"`` or the whole ``"run"``.
    """

    mark: StoreTimes = STORES["remote"]
    sweep: StoreTimes = STORES["remote"]
    mark_workers: int = 1
    sweep_workers: int = 1
    per_blob: Requests = Requests()
    per_manifest: Requests = Requests()
    per_blob_link: Requests = Requests()
    per_candidate: Requests = Requests()
    tag_lookups: Literal["never", "mark", "delete"] = "never"
    deletes_per_minute: int | None = None
    sweeps_blobs: bool = True
    read_only: Literal["never", "mark", "run"] = "never"

    def __post_init__(self) -> None:
        for name in ("mark_workers", "sweep_workers"):
            if not whole_number(getattr(self, name), name=name, expected=WORKERS):
                raise InvalidValue(name, 0, WORKERS)
        if self.deletes_per_minute is not None and not whole_number(
            self.deletes_per_minute, name="deletes_per_minute", expected="1 or more, or None"
        ):
            raise InvalidValue("deletes_per_minute", 0, "1 or more, or None")
        for name, allowed in (("tag_lookups", ("never", "mark", "delete")), ("read_only", ("never", "mark", "run"))):
            if getattr(self, name) not in allowed:
                raise InvalidValue(name, getattr(self, name), " or ".join(allowed))

    def mark_requests(self, work: Work) -> Requests:
        """Return what marking asks of its store."""
        counted = (
            (self.per_blob, work.stored_blobs),
            (self.per_manifest, work.linked_manifests),
            (self.per_blob_link, work.blob_links),
            (self.per_candidate, work.manifests + work.blobs),
            (Requests(reads=1), work.mark_tags if self.tag_lookups == "mark" else 0),
        )
        return Requests(sum(each.lists * n for each, n in counted), sum(each.reads * n for each, n in counted))

    def sweep_requests(self, work: Work) -> tuple[int, int]:
        """Return how many objects are read and how many things are deleted in sweeping."""
        reads = exact_sum(work.manifest_tags) if self.tag_lookups == "delete" else 0
        return reads, work.manifests + (work.blobs if self.sweeps_blobs else 0)


# distribution/distribution 011b49ce, registry/storage/garbagecollect.go, and 00efb5e9, linkedblobstore.go beside it:
# walking a store lists a directory for each blob and each revision. A revision's link is read and its blob looked up
# (3 reads) before the manifest is got: link, blob, content (3). Version 3 also walks blob links: link, link again and
# blob (3), and asks for each reference whether it is a manifest (1). The registry has to be read only.
_DISTRIBUTION = CostModel(per_blob=Requests(lists=1), per_manifest=Requests(lists=1, reads=6), read_only="run")

# MicrosoftDocs/azure-management-docs d923d588, articles/container-registry: container-registry-skus.md, 500 DELETE
# requests a minute of one identity, in Premium 2,000; container-registry-delete.md, space comes back asynchronously.
# Azure/acr-cli#462: before it a purge got each manifest, one after the other.
_ACR = CostModel(per_manifest=Requests(reads=1), deletes_per_minute=500, sweeps_blobs=False)

COLLECTORS: Mapping[str, CostModel] = MappingProxyType(
    {
        "distribution-2.8": _DISTRIBUTION,
        "distribution-3": CostModel(
            per_blob=_DISTRIBUTION.per_blob,
            per_manifest=_DISTRIBUTION.per_manifest,
            per_blob_link=Requests(lists=1, reads=4),
            read_only="run",
        ),
        # goharbor/harbor c50c7ddd, src/jobservice/job/impl/gc/garbage_collection.go: candidates come from the database,
        # and manifests go through the registry's API, which reads all tags of the repository (#12948), until 2.15 no
        # longer puts tags into the store (#22507). Not read only since 2.1 (#13154).
        "harbor": CostModel(mark=STORES["database"], per_candidate=Requests(reads=1), tag_lookups="delete"),
        # project-zot/zot 6d19b445, pkg/storage/gc/gc.go: under a repository's lock. The figures are of one repository.
        "zot": CostModel(per_blob=Requests(lists=1), per_manifest=Requests(reads=1), read_only="run"),
        "acr-basic": _ACR,
        "acr-standard": _ACR,
        "acr-premium": CostModel(per_manifest=_ACR.per_manifest, deletes_per_minute=2_000, sweeps_blobs=False),
    }
)
"""Collectors with one worker on a remote store, by registry kind."""


@dataclass(frozen=True, slots=True)
class PartialRun:
    """How far a run has come.

    Attributes
    ----------
    elapsed : microseconds since its start, at most its length.
    manifests, blobs, freed_bytes : what is gone by then.
    read_only : microseconds of ``elapsed`` in which nothing could be pushed.
    finished : whether that is all.
    """

    elapsed: int
    manifests: int
    blobs: int
    freed_bytes: int
    read_only: int
    finished: bool


@dataclass(frozen=True, slots=True, eq=False)
class RunEstimate:
    """How long a run takes. Made by :func:`estimate`.

    Attributes
    ----------
    mark, sweep, total, read_only : microseconds.
    manifest_ends : int64[M], microseconds after the start of the sweep at which each manifest is gone.
    """

    work: Work
    model: CostModel
    mark: int
    sweep: int
    read_only: int
    manifest_ends: Array = field(repr=False)

    @property
    def total(self) -> int:
        """Microseconds from start to end."""
        return self.mark + self.sweep

    def after(self, elapsed: int) -> PartialRun:
        """Return what a run has freed that is cut off after ``elapsed`` microseconds, or has come so far.

        Manifests go first, then blobs, in the order of the plan; what is under way does not count. Where the service
        takes blobs by itself they count when the last manifest is gone: some may go earlier, and all a little later.

        Raises
        ------
        InvalidValue : not a whole number, 0 or more.

        Notes
        -----
        O(blobs freed).

        Examples
        --------
        >>> store = StoreTimes("slow", list=0, read=0, delete=1_000_000)
        >>> run = estimate(Work.of_counts(manifests=10, blobs=900, total_bytes=9_000), CostModel(sweep=store))
        >>> cut = run.after(600_000_000)
        >>> cut.manifests, cut.blobs, cut.freed_bytes, cut.finished
        (10, 590, 5900, False)
        """
        whole_number(elapsed, name="elapsed", expected=f"{COUNT}, of microseconds")
        swept = elapsed - self.mark
        manifests = int(np.searchsorted(self.manifest_ends, swept, side="right"))
        blobs = 0 if manifests < self.work.manifests or swept < 0 else self._blobs_at(swept)
        read_only = min(self.read_only, elapsed)
        return PartialRun(
            min(elapsed, self.total),
            manifests,
            blobs,
            exact_sum(self.work.blob_bytes[:blobs]),
            read_only,
            elapsed >= self.total,
        )

    def _blobs_at(self, swept: int) -> int:
        """Blobs gone ``swept`` microseconds into the sweep, all manifests being gone: the inverse of their ends."""
        if not self.model.sweeps_blobs:
            return self.work.blobs
        low, high = 0, self.work.blobs
        while low < high:
            middle = (low + high + 1) // 2
            if _blobs_end(self.work, self.model, self.manifest_ends, middle) <= swept:
                low = middle
            else:
                high = middle - 1
        return low


def estimate(work: Work, model: CostModel) -> RunEstimate:
    """Return how long a run takes.

    Marking: all requests, one after the other in each worker. Sweeping: manifests in order, then blobs. The k-th of
    either is gone when the workers have shared the time of the first k evenly, but never before the longest of them has
    had its own time, nor before a limit of deletions a minute lets k through.

    Raises
    ------
    InvalidValue : more work than 2**62 microseconds.

    Notes
    -----
    O(manifests + blobs). Retries, throttling by the store, and work that other users give it are not in it.

    Examples
    --------
    The least that 140,000 deletions by one identity of an ACR Premium take, whatever else is fast:

    >>> from dataclasses import replace
    >>> from quotasim.units import format_duration
    >>> instant = StoreTimes("instant", list=0, read=0, delete=0)
    >>> model = replace(COLLECTORS["acr-premium"], mark=instant, sweep=instant)
    >>> format_duration(estimate(Work.of_counts(manifests=140_000), model).total)
    '1h 10min'
    """
    asked = model.mark_requests(work)
    walk = asked.lists * model.mark.list + asked.reads * model.mark.read
    longest = max((asked.lists > 0) * model.mark.list, (asked.reads > 0) * model.mark.read)
    mark = max(_divided(walk, model.mark_workers), longest)
    reads, deletes = model.sweep_requests(work)
    if mark + reads * model.sweep.read + deletes * (model.sweep.delete + MINUTE) > LONGEST:
        raise InvalidValue("work", work, "at most 2**62 microseconds of requests")
    ends = _manifest_ends(work, model)
    sweep = int(ends[-1]) if ends.size else 0
    if model.sweeps_blobs and work.blobs:
        sweep = _blobs_end(work, model, ends, work.blobs)
    read_only = {"never": 0, "mark": mark, "run": mark + sweep}[model.read_only]
    return RunEstimate(work, model, mark, sweep, read_only, ends)


def _manifest_ends(work: Work, model: CostModel) -> Array:
    """Microseconds into the sweep at which each manifest is gone, int64[M], ascending."""
    times = np.full(work.manifests, model.sweep.delete, np.int64)
    if model.tag_lookups == "delete":
        times += work.manifest_tags * model.sweep.read
    ends = -(-np.cumsum(times) // model.sweep_workers)
    if times.size:
        ends = np.maximum(ends, np.maximum.accumulate(times))
    if model.deletes_per_minute is not None:
        number = np.arange(1, work.manifests + 1, dtype=np.int64)
        ends = np.maximum(ends, -(-number * MINUTE // model.deletes_per_minute))
    return ends


def _blobs_end(work: Work, model: CostModel, manifest_ends: Array, blobs: int) -> int:
    """Microseconds into the sweep at which so many blobs, at least one, are gone."""
    start = int(manifest_ends[-1]) if manifest_ends.size else 0
    end = start + max(_divided(blobs * model.sweep.delete, model.sweep_workers), model.sweep.delete)
    if model.deletes_per_minute is not None:
        end = max(end, _divided((work.manifests + blobs) * MINUTE, model.deletes_per_minute))
    return end


def _divided(count: int, by: int) -> int:
    """Rounded up: what is under way is not done."""
    return -(-count // by)
