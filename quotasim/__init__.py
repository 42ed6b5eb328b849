"""quotasim: what a container registry's storage quota sees, and what a clean-up will free."""

from quotasim.accounting.basis import Basis, Scope
from quotasim.errors import QuotaSimError
from quotasim.gc.policy import GcPolicy
from quotasim.model.oci import Blob, Descriptor, Image, Index
from quotasim.profiles.base import RegistryProfile
from quotasim.registry import Registry

__all__ = [
    "Basis",
    "Blob",
    "Descriptor",
    "GcPolicy",
    "Image",
    "Index",
    "QuotaSimError",
    "Registry",
    "RegistryProfile",
    "Scope",
]
