"""The systems that the command line is told of: its settings, as lattice's and OpenCHAMI's clients take them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pactsh.errors import UsageError

if TYPE_CHECKING:
    from pactsh.cli.config import Settings
    from pactsh.delegates.deeds import Systems
    from pactsh.delegates.settings import LatticeSettings, OpenchamiSettings


def lattice_settings(settings: Settings) -> LatticeSettings:
    """How lattice is reached; raises `UsageError` where that is not configured."""
    from pactsh.delegates.settings import LatticeSettings

    if settings.lattice_endpoint is None:
        raise UsageError(
            "no lattice endpoint is configured", hint="set PACT_LATTICE_ENDPOINT, or lattice_endpoint in cli.toml"
        )
    return LatticeSettings(
        settings.lattice_endpoint,
        settings.lattice_token,
        settings.lattice_ca,
        settings.lattice_cert,
        settings.lattice_key,
    )


def openchami_settings(settings: Settings) -> OpenchamiSettings:
    """How OpenCHAMI is reached; raises `UsageError` where that is not configured."""
    from pactsh.delegates.settings import OpenchamiSettings

    if settings.openchami_smd_url is None:
        raise UsageError(
            "no openchami endpoint is configured", hint="set PACT_OPENCHAMI_SMD_URL, or openchami_smd_url in cli.toml"
        )
    return OpenchamiSettings(
        smd_url=settings.openchami_smd_url,
        token=settings.openchami_token,
        pcs_url=settings.openchami_pcs_url,
        bss_url=settings.openchami_bss_url,
        backend=settings.openchami_backend,
        xnames=settings.openchami_xnames,
        names=settings.openchami_names,
        ca=settings.openchami_ca,
        bmc_user=settings.bmc_user,
        bmc_password=settings.bmc_password,
        bmc_ca=settings.bmc_ca,
        bmc_fingerprint=settings.bmc_fingerprint,
        bos_template=settings.bos_template,
    )


def systems(settings: Settings) -> Systems:
    """Those that are configured."""
    from pactsh.delegates.deeds import Systems

    return Systems(
        lattice=None if settings.lattice_endpoint is None else lattice_settings(settings),
        openchami=None if settings.openchami_smd_url is None else openchami_settings(settings),
    )
