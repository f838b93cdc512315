"""lattice's messages, field by field: `lattice/fields.txt` was taken from lattice's own .proto files."""

from __future__ import annotations

from pathlib import Path

import pytest
from google.protobuf.descriptor import Descriptor, FieldDescriptor

from pactsh.delegates.lattice import admin_pb2, allocations_pb2, nodes_pb2
from pactsh.delegates.lattice.channel import METHODS

TABLE = dict(
    line.split(":", 1) for line in (Path(__file__).parent / "lattice" / "fields.txt").read_text("utf-8").splitlines()
)
LEFT_OUT = {"EnvironmentSpec", "DataSpec", "LivenessProbeSpec"}
"""Parts of a specification that pact does not show. Their numbers stay unused."""
SCALARS = {
    FieldDescriptor.TYPE_STRING: "str",
    FieldDescriptor.TYPE_BOOL: "bool",
    FieldDescriptor.TYPE_UINT32: "u32",
    FieldDescriptor.TYPE_UINT64: "u64",
    FieldDescriptor.TYPE_INT32: "i32",
    FieldDescriptor.TYPE_DOUBLE: "dbl",
}
MESSAGES: dict[str, Descriptor] = {
    name: message
    for module in (admin_pb2, allocations_pb2, nodes_pb2)
    for name, message in module.DESCRIPTOR.message_types_by_name.items()
}


def type_name(field: FieldDescriptor) -> str:
    if field.enum_type is not None:
        return field.enum_type.full_name.removeprefix("lattice.v1.")
    if field.message_type is None:
        return SCALARS[field.type]
    if field.message_type.GetOptions().map_entry:
        key, value = (SCALARS[each.type] for each in field.message_type.fields)
        return f"map<{key},{value}>"
    return {"Timestamp": "Ts", "Duration": "Dur"}.get(field.message_type.name, field.message_type.name)


def render_field(field: FieldDescriptor) -> str:
    is_map = field.message_type is not None and field.message_type.GetOptions().map_entry
    is_optional = field.containing_oneof is not None and field.containing_oneof.name.startswith("_")
    kind = "rep " if field.is_repeated and not is_map else "opt " if is_optional else ""
    return f"{field.name}={field.number} {kind}{type_name(field)}"


@pytest.mark.parametrize("message", TABLE)
def test_fields(message: str) -> None:
    expected = [field.strip() for field in TABLE[message].split(", ") if field.strip()]
    kept = [field for field in expected if field.split()[-1] not in LEFT_OUT]
    ours = [render_field(field) for field in sorted(MESSAGES[message].fields, key=lambda each: each.number)]
    assert ours == kept
    if kept != expected:
        reserved = {int(field.split("=")[1].split()[0]) for field in set(expected) - set(kept)}
        assert not reserved & {field.number for field in MESSAGES[message].fields}


def test_there_are_no_messages_of_our_own_making() -> None:
    assert MESSAGES.keys() == TABLE.keys()


def test_kinds_of_lifecycle() -> None:
    values = MESSAGES["LifecycleSpec"].enum_types_by_name["Type"].values_by_number
    assert {number: value.name for number, value in values.items()} == {0: "BOUNDED", 1: "UNBOUNDED", 2: "REACTIVE"}


def test_methods() -> None:
    """Each with the messages that its name says, but for those whose reply is a thing of its own."""
    for name, (path, request, reply) in METHODS.items():
        service, method = name.split("/")
        assert path == f"/lattice.v1.{service}/{method}"
        assert f"{method}: {request.DESCRIPTOR.name} {reply.DESCRIPTOR.name}" in CALLS


CALLS = """
Submit: SubmitRequest SubmitResponse
List: ListAllocationsRequest ListAllocationsResponse
Get: GetAllocationRequest AllocationStatus
Cancel: CancelRequest CancelResponse
GetDag: GetDagRequest DagStatus
ListDags: ListDagsRequest ListDagsResponse
CancelDag: CancelDagRequest CancelDagResponse
ListNodes: ListNodesRequest ListNodesResponse
GetNode: GetNodeRequest NodeStatus
RegisterNode: RegisterNodeRequest RegisterNodeResponse
DrainNode: DrainNodeRequest DrainNodeResponse
UndrainNode: UndrainNodeRequest UndrainNodeResponse
DisableNode: DisableNodeRequest DisableNodeResponse
EnableNode: EnableNodeRequest EnableNodeResponse
Health: HealthRequest HealthResponse
GetVClusterQueue: GetVClusterQueueRequest VClusterQueueResponse
GetRaftStatus: GetRaftStatusRequest RaftStatusResponse
QueryAudit: QueryAuditRequest QueryAuditResponse
GetAccountingUsage: GetAccountingUsageRequest AccountingUsageResponse
GetTenantUsage: GetTenantUsageRequest TenantUsageResponse
GetUserUsage: GetUserUsageRequest UserUsageResponse
CreateTenant: CreateTenantRequest TenantResponse
CreateBackup: CreateBackupRequest CreateBackupResponse
BackupVerify: BackupVerifyRequest BackupVerifyResponse
RestoreBackup: RestoreBackupRequest RestoreBackupResponse
ListServices: ListServicesRequest ListServicesResponse
LookupService: LookupServiceRequest LookupServiceResponse
""".splitlines()
