"""quotasim: what a container registry's storage quota sees, and what a clean-up will free.

The names below are imported when they are first used, so that ``import quotasim`` costs next to nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from quotasim import whatif, workloads
    from quotasim.accounting.basis import Basis, Scope
    from quotasim.accounting.chargeback import ChargeRow
    from quotasim.accounting.price import Price
    from quotasim.accounting.quota import Decision, Refusal, Verdict
    from quotasim.accounting.selection import Hazard
    from quotasim.accounting.sharing import SharingRow
    from quotasim.clients import ClientPush, push_together
    from quotasim.comparison import Difference, KindRow, compare
    from quotasim.errors import (
        CollectionAborted,
        DigestConflict,
        GateFailed,
        ImmutableTagRefused,
        IndexChildRefused,
        InputRejected,
        InvalidDigest,
        InvalidReference,
        InvalidValue,
        Locked,
        ManifestTooLarge,
        NotRestorable,
        Problem,
        QuotaSimError,
        ReferrersRefused,
        Refused,
        RunEnded,
        SnapshotError,
        StalePlan,
        StateDamaged,
        TagDeletionRefused,
        TaggedManifestRefused,
        TimeReversed,
        UnknownBlob,
        UnknownProfile,
        UnknownReference,
        UnknownRepository,
        UnknownUpload,
        WrongAnswer,
    )
    from quotasim.gc.plan import GcPlan
    from quotasim.gc.policy import GcPolicy
    from quotasim.model.oci import Blob, Descriptor, Image, Index
    from quotasim.profiles.base import Backfill, RegistryProfile, Source
    from quotasim.registry import Registry, import_tables, load, replay
    from quotasim.results import (
        Damage,
        DeleteResult,
        GcResult,
        HeldBlob,
        Preview,
        PushResult,
        TimelineRow,
        UnfinishedUpload,
        UploadResult,
        Usage,
        Why,
    )
    from quotasim.retention.evaluate import Selection
    from quotasim.retention.rules import KeepMatching, KeepNewest, KeepYounger, RetentionPolicy
    from quotasim.runs import GcMarking, GcRun
    from quotasim.units import (
        format_bytes,
        format_duration,
        format_time,
        parse_duration,
        parse_size,
        parse_time,
    )

__version__ = "0.1.0"

__all__ = [
    "Backfill",
    "Basis",
    "Blob",
    "ChargeRow",
    "ClientPush",
    "CollectionAborted",
    "Damage",
    "Decision",
    "DeleteResult",
    "Descriptor",
    "Difference",
    "DigestConflict",
    "GateFailed",
    "GcMarking",
    "GcPlan",
    "GcPolicy",
    "GcResult",
    "GcRun",
    "Hazard",
    "HeldBlob",
    "Image",
    "ImmutableTagRefused",
    "Index",
    "IndexChildRefused",
    "InputRejected",
    "InvalidDigest",
    "InvalidReference",
    "InvalidValue",
    "KeepMatching",
    "KeepNewest",
    "KeepYounger",
    "KindRow",
    "Locked",
    "ManifestTooLarge",
    "NotRestorable",
    "Preview",
    "Price",
    "Problem",
    "PushResult",
    "QuotaSimError",
    "ReferrersRefused",
    "Refusal",
    "Refused",
    "Registry",
    "RegistryProfile",
    "RetentionPolicy",
    "RunEnded",
    "Scope",
    "Selection",
    "SharingRow",
    "SnapshotError",
    "Source",
    "StalePlan",
    "StateDamaged",
    "TagDeletionRefused",
    "TaggedManifestRefused",
    "TimeReversed",
    "TimelineRow",
    "UnfinishedUpload",
    "UnknownBlob",
    "UnknownProfile",
    "UnknownReference",
    "UnknownRepository",
    "UnknownUpload",
    "UploadResult",
    "Usage",
    "Verdict",
    "Why",
    "WrongAnswer",
    "__version__",
    "compare",
    "format_bytes",
    "format_duration",
    "format_time",
    "import_tables",
    "load",
    "parse_duration",
    "parse_size",
    "parse_time",
    "push_together",
    "replay",
    "whatif",
    "workloads",
]

_MODULES = {
    "accounting.basis": ("Basis", "Scope"),
    "accounting.chargeback": ("ChargeRow",),
    "accounting.price": ("Price",),
    "accounting.quota": ("Decision", "Refusal", "Verdict"),
    "accounting.selection": ("Hazard",),
    "accounting.sharing": ("SharingRow",),
    "clients": ("ClientPush", "push_together"),
    "comparison": ("Difference", "KindRow", "compare"),
    "gc.plan": ("GcPlan",),
    "gc.policy": ("GcPolicy",),
    "model.oci": ("Blob", "Descriptor", "Image", "Index"),
    "profiles.base": ("Backfill", "RegistryProfile", "Source"),
    "registry": ("Registry", "import_tables", "load", "replay"),
    "results": (
        "Damage",
        "DeleteResult",
        "GcResult",
        "HeldBlob",
        "Preview",
        "PushResult",
        "TimelineRow",
        "UnfinishedUpload",
        "UploadResult",
        "Usage",
        "Why",
    ),
    "retention.evaluate": ("Selection",),
    "retention.rules": ("KeepMatching", "KeepNewest", "KeepYounger", "RetentionPolicy"),
    "runs": ("GcMarking", "GcRun"),
    "units": (
        "format_bytes",
        "format_duration",
        "format_time",
        "parse_duration",
        "parse_size",
        "parse_time",
    ),
}
_SUBMODULES = ("whatif", "workloads")
_MODULE_OF = {name: module for module, names in _MODULES.items() for name in names}


def __getattr__(name: str) -> Any:
    """Import a public name from its module, and keep it."""
    if name not in __all__:
        message = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(message, name=name, obj=__import__(__name__))
    if name in _SUBMODULES:
        return import_module(f"{__name__}.{name}")
    value = getattr(import_module(f"{__name__}.{_MODULE_OF.get(name, 'errors')}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
