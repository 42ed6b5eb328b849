"""Registry kinds by name."""

from __future__ import annotations

from quotasim.errors import UnknownProfile
from quotasim.nearest import nearest_names
from quotasim.profiles.acr import ACR_BASIC, ACR_PREMIUM, ACR_STANDARD
from quotasim.profiles.base import RegistryProfile
from quotasim.profiles.distribution import DISTRIBUTION_2_8, DISTRIBUTION_3
from quotasim.profiles.ecr import ECR
from quotasim.profiles.gar import GAR
from quotasim.profiles.gitlab import GITLAB
from quotasim.profiles.harbor import HARBOR
from quotasim.profiles.quay import QUAY
from quotasim.profiles.refcount import REFCOUNT
from quotasim.profiles.zot import ZOT

PROFILES = {
    profile.name: profile
    for profile in (
        ACR_BASIC,
        ACR_STANDARD,
        ACR_PREMIUM,
        DISTRIBUTION_2_8,
        DISTRIBUTION_3,
        ECR,
        GAR,
        GITLAB,
        HARBOR,
        QUAY,
        REFCOUNT,
        ZOT,
    )
}


def by_name(name: str) -> RegistryProfile:
    """Return the profile called ``name``.

    Raises
    ------
    UnknownProfile : there is none; carries the nearest names.

    Examples
    --------
    >>> by_name("acr-premium").included
    536870912000
    """
    if name not in PROFILES:
        raise UnknownProfile(name, nearest_names(name, PROFILES))
    return PROFILES[name]
