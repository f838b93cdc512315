import datetime

from google.protobuf import timestamp_pb2 as _timestamp_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class GetVClusterQueueRequest(_message.Message):
    __slots__ = ("vcluster_id",)
    VCLUSTER_ID_FIELD_NUMBER: _ClassVar[int]
    vcluster_id: str
    def __init__(self, vcluster_id: _Optional[str] = ...) -> None: ...

class VClusterQueueResponse(_message.Message):
    __slots__ = ("vcluster_id", "pending", "running", "total")
    VCLUSTER_ID_FIELD_NUMBER: _ClassVar[int]
    PENDING_FIELD_NUMBER: _ClassVar[int]
    RUNNING_FIELD_NUMBER: _ClassVar[int]
    TOTAL_FIELD_NUMBER: _ClassVar[int]
    vcluster_id: str
    pending: int
    running: int
    total: int
    def __init__(self, vcluster_id: _Optional[str] = ..., pending: _Optional[int] = ..., running: _Optional[int] = ..., total: _Optional[int] = ...) -> None: ...

class GetRaftStatusRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class RaftStatusResponse(_message.Message):
    __slots__ = ("leader_id", "current_term", "last_applied", "commit_index", "members")
    LEADER_ID_FIELD_NUMBER: _ClassVar[int]
    CURRENT_TERM_FIELD_NUMBER: _ClassVar[int]
    LAST_APPLIED_FIELD_NUMBER: _ClassVar[int]
    COMMIT_INDEX_FIELD_NUMBER: _ClassVar[int]
    MEMBERS_FIELD_NUMBER: _ClassVar[int]
    leader_id: int
    current_term: int
    last_applied: int
    commit_index: int
    members: _containers.RepeatedCompositeFieldContainer[RaftMemberStatus]
    def __init__(self, leader_id: _Optional[int] = ..., current_term: _Optional[int] = ..., last_applied: _Optional[int] = ..., commit_index: _Optional[int] = ..., members: _Optional[_Iterable[_Union[RaftMemberStatus, _Mapping]]] = ...) -> None: ...

class RaftMemberStatus(_message.Message):
    __slots__ = ("node_id", "address", "role", "match_index", "last_contact")
    NODE_ID_FIELD_NUMBER: _ClassVar[int]
    ADDRESS_FIELD_NUMBER: _ClassVar[int]
    ROLE_FIELD_NUMBER: _ClassVar[int]
    MATCH_INDEX_FIELD_NUMBER: _ClassVar[int]
    LAST_CONTACT_FIELD_NUMBER: _ClassVar[int]
    node_id: int
    address: str
    role: str
    match_index: int
    last_contact: _timestamp_pb2.Timestamp
    def __init__(self, node_id: _Optional[int] = ..., address: _Optional[str] = ..., role: _Optional[str] = ..., match_index: _Optional[int] = ..., last_contact: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class QueryAuditRequest(_message.Message):
    __slots__ = ("tenant_id", "user_id", "action", "limit", "cursor")
    TENANT_ID_FIELD_NUMBER: _ClassVar[int]
    USER_ID_FIELD_NUMBER: _ClassVar[int]
    ACTION_FIELD_NUMBER: _ClassVar[int]
    LIMIT_FIELD_NUMBER: _ClassVar[int]
    CURSOR_FIELD_NUMBER: _ClassVar[int]
    tenant_id: str
    user_id: str
    action: str
    limit: int
    cursor: str
    def __init__(self, tenant_id: _Optional[str] = ..., user_id: _Optional[str] = ..., action: _Optional[str] = ..., limit: _Optional[int] = ..., cursor: _Optional[str] = ...) -> None: ...

class QueryAuditResponse(_message.Message):
    __slots__ = ("entries", "next_cursor")
    ENTRIES_FIELD_NUMBER: _ClassVar[int]
    NEXT_CURSOR_FIELD_NUMBER: _ClassVar[int]
    entries: _containers.RepeatedCompositeFieldContainer[AuditEntryProto]
    next_cursor: str
    def __init__(self, entries: _Optional[_Iterable[_Union[AuditEntryProto, _Mapping]]] = ..., next_cursor: _Optional[str] = ...) -> None: ...

class AuditEntryProto(_message.Message):
    __slots__ = ("id", "tenant_id", "user_id", "action", "details", "timestamp")
    ID_FIELD_NUMBER: _ClassVar[int]
    TENANT_ID_FIELD_NUMBER: _ClassVar[int]
    USER_ID_FIELD_NUMBER: _ClassVar[int]
    ACTION_FIELD_NUMBER: _ClassVar[int]
    DETAILS_FIELD_NUMBER: _ClassVar[int]
    TIMESTAMP_FIELD_NUMBER: _ClassVar[int]
    id: str
    tenant_id: str
    user_id: str
    action: str
    details: str
    timestamp: _timestamp_pb2.Timestamp
    def __init__(self, id: _Optional[str] = ..., tenant_id: _Optional[str] = ..., user_id: _Optional[str] = ..., action: _Optional[str] = ..., details: _Optional[str] = ..., timestamp: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class GetAccountingUsageRequest(_message.Message):
    __slots__ = ("tenant_id", "start", "end")
    TENANT_ID_FIELD_NUMBER: _ClassVar[int]
    START_FIELD_NUMBER: _ClassVar[int]
    END_FIELD_NUMBER: _ClassVar[int]
    tenant_id: str
    start: _timestamp_pb2.Timestamp
    end: _timestamp_pb2.Timestamp
    def __init__(self, tenant_id: _Optional[str] = ..., start: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., end: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class AccountingUsageResponse(_message.Message):
    __slots__ = ("tenant_id", "cpu_hours", "gpu_hours", "storage_bytes", "allocation_count")
    TENANT_ID_FIELD_NUMBER: _ClassVar[int]
    CPU_HOURS_FIELD_NUMBER: _ClassVar[int]
    GPU_HOURS_FIELD_NUMBER: _ClassVar[int]
    STORAGE_BYTES_FIELD_NUMBER: _ClassVar[int]
    ALLOCATION_COUNT_FIELD_NUMBER: _ClassVar[int]
    tenant_id: str
    cpu_hours: float
    gpu_hours: float
    storage_bytes: int
    allocation_count: int
    def __init__(self, tenant_id: _Optional[str] = ..., cpu_hours: _Optional[float] = ..., gpu_hours: _Optional[float] = ..., storage_bytes: _Optional[int] = ..., allocation_count: _Optional[int] = ...) -> None: ...

class GetTenantUsageRequest(_message.Message):
    __slots__ = ("tenant_id", "days")
    TENANT_ID_FIELD_NUMBER: _ClassVar[int]
    DAYS_FIELD_NUMBER: _ClassVar[int]
    tenant_id: str
    days: int
    def __init__(self, tenant_id: _Optional[str] = ..., days: _Optional[int] = ...) -> None: ...

class TenantUsageResponse(_message.Message):
    __slots__ = ("tenant", "gpu_hours_used", "gpu_hours_budget", "gpu_fraction_used", "node_hours_used", "node_hours_budget", "node_fraction_used", "period_start", "period_end", "period_days")
    TENANT_FIELD_NUMBER: _ClassVar[int]
    GPU_HOURS_USED_FIELD_NUMBER: _ClassVar[int]
    GPU_HOURS_BUDGET_FIELD_NUMBER: _ClassVar[int]
    GPU_FRACTION_USED_FIELD_NUMBER: _ClassVar[int]
    NODE_HOURS_USED_FIELD_NUMBER: _ClassVar[int]
    NODE_HOURS_BUDGET_FIELD_NUMBER: _ClassVar[int]
    NODE_FRACTION_USED_FIELD_NUMBER: _ClassVar[int]
    PERIOD_START_FIELD_NUMBER: _ClassVar[int]
    PERIOD_END_FIELD_NUMBER: _ClassVar[int]
    PERIOD_DAYS_FIELD_NUMBER: _ClassVar[int]
    tenant: str
    gpu_hours_used: float
    gpu_hours_budget: float
    gpu_fraction_used: float
    node_hours_used: float
    node_hours_budget: float
    node_fraction_used: float
    period_start: str
    period_end: str
    period_days: int
    def __init__(self, tenant: _Optional[str] = ..., gpu_hours_used: _Optional[float] = ..., gpu_hours_budget: _Optional[float] = ..., gpu_fraction_used: _Optional[float] = ..., node_hours_used: _Optional[float] = ..., node_hours_budget: _Optional[float] = ..., node_fraction_used: _Optional[float] = ..., period_start: _Optional[str] = ..., period_end: _Optional[str] = ..., period_days: _Optional[int] = ...) -> None: ...

class GetUserUsageRequest(_message.Message):
    __slots__ = ("user", "days")
    USER_FIELD_NUMBER: _ClassVar[int]
    DAYS_FIELD_NUMBER: _ClassVar[int]
    user: str
    days: int
    def __init__(self, user: _Optional[str] = ..., days: _Optional[int] = ...) -> None: ...

class UserUsageResponse(_message.Message):
    __slots__ = ("user", "tenants", "total_gpu_hours", "period_start", "period_end")
    USER_FIELD_NUMBER: _ClassVar[int]
    TENANTS_FIELD_NUMBER: _ClassVar[int]
    TOTAL_GPU_HOURS_FIELD_NUMBER: _ClassVar[int]
    PERIOD_START_FIELD_NUMBER: _ClassVar[int]
    PERIOD_END_FIELD_NUMBER: _ClassVar[int]
    user: str
    tenants: _containers.RepeatedCompositeFieldContainer[UserTenantUsageProto]
    total_gpu_hours: float
    period_start: str
    period_end: str
    def __init__(self, user: _Optional[str] = ..., tenants: _Optional[_Iterable[_Union[UserTenantUsageProto, _Mapping]]] = ..., total_gpu_hours: _Optional[float] = ..., period_start: _Optional[str] = ..., period_end: _Optional[str] = ...) -> None: ...

class UserTenantUsageProto(_message.Message):
    __slots__ = ("tenant", "gpu_hours_used", "gpu_hours_budget", "node_hours_used", "node_hours_budget")
    TENANT_FIELD_NUMBER: _ClassVar[int]
    GPU_HOURS_USED_FIELD_NUMBER: _ClassVar[int]
    GPU_HOURS_BUDGET_FIELD_NUMBER: _ClassVar[int]
    NODE_HOURS_USED_FIELD_NUMBER: _ClassVar[int]
    NODE_HOURS_BUDGET_FIELD_NUMBER: _ClassVar[int]
    tenant: str
    gpu_hours_used: float
    gpu_hours_budget: float
    node_hours_used: float
    node_hours_budget: float
    def __init__(self, tenant: _Optional[str] = ..., gpu_hours_used: _Optional[float] = ..., gpu_hours_budget: _Optional[float] = ..., node_hours_used: _Optional[float] = ..., node_hours_budget: _Optional[float] = ...) -> None: ...

class CreateBackupRequest(_message.Message):
    __slots__ = ("backup_path",)
    BACKUP_PATH_FIELD_NUMBER: _ClassVar[int]
    backup_path: str
    def __init__(self, backup_path: _Optional[str] = ...) -> None: ...

class CreateBackupResponse(_message.Message):
    __slots__ = ("success", "message", "backup_timestamp", "node_count", "allocation_count", "tenant_count", "audit_entry_count")
    SUCCESS_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    BACKUP_TIMESTAMP_FIELD_NUMBER: _ClassVar[int]
    NODE_COUNT_FIELD_NUMBER: _ClassVar[int]
    ALLOCATION_COUNT_FIELD_NUMBER: _ClassVar[int]
    TENANT_COUNT_FIELD_NUMBER: _ClassVar[int]
    AUDIT_ENTRY_COUNT_FIELD_NUMBER: _ClassVar[int]
    success: bool
    message: str
    backup_timestamp: _timestamp_pb2.Timestamp
    node_count: int
    allocation_count: int
    tenant_count: int
    audit_entry_count: int
    def __init__(self, success: _Optional[bool] = ..., message: _Optional[str] = ..., backup_timestamp: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., node_count: _Optional[int] = ..., allocation_count: _Optional[int] = ..., tenant_count: _Optional[int] = ..., audit_entry_count: _Optional[int] = ...) -> None: ...

class BackupVerifyRequest(_message.Message):
    __slots__ = ("backup_path",)
    BACKUP_PATH_FIELD_NUMBER: _ClassVar[int]
    backup_path: str
    def __init__(self, backup_path: _Optional[str] = ...) -> None: ...

class BackupVerifyResponse(_message.Message):
    __slots__ = ("valid", "message", "backup_timestamp", "snapshot_term", "snapshot_index")
    VALID_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    BACKUP_TIMESTAMP_FIELD_NUMBER: _ClassVar[int]
    SNAPSHOT_TERM_FIELD_NUMBER: _ClassVar[int]
    SNAPSHOT_INDEX_FIELD_NUMBER: _ClassVar[int]
    valid: bool
    message: str
    backup_timestamp: _timestamp_pb2.Timestamp
    snapshot_term: int
    snapshot_index: int
    def __init__(self, valid: _Optional[bool] = ..., message: _Optional[str] = ..., backup_timestamp: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., snapshot_term: _Optional[int] = ..., snapshot_index: _Optional[int] = ...) -> None: ...

class RestoreBackupRequest(_message.Message):
    __slots__ = ("backup_path",)
    BACKUP_PATH_FIELD_NUMBER: _ClassVar[int]
    backup_path: str
    def __init__(self, backup_path: _Optional[str] = ...) -> None: ...

class RestoreBackupResponse(_message.Message):
    __slots__ = ("success", "message")
    SUCCESS_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    success: bool
    message: str
    def __init__(self, success: _Optional[bool] = ..., message: _Optional[str] = ...) -> None: ...

class ListServicesRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class ListServicesResponse(_message.Message):
    __slots__ = ("names",)
    NAMES_FIELD_NUMBER: _ClassVar[int]
    names: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, names: _Optional[_Iterable[str]] = ...) -> None: ...

class LookupServiceRequest(_message.Message):
    __slots__ = ("name",)
    NAME_FIELD_NUMBER: _ClassVar[int]
    name: str
    def __init__(self, name: _Optional[str] = ...) -> None: ...

class LookupServiceResponse(_message.Message):
    __slots__ = ("name", "endpoints")
    NAME_FIELD_NUMBER: _ClassVar[int]
    ENDPOINTS_FIELD_NUMBER: _ClassVar[int]
    name: str
    endpoints: _containers.RepeatedCompositeFieldContainer[RegisteredEndpointProto]
    def __init__(self, name: _Optional[str] = ..., endpoints: _Optional[_Iterable[_Union[RegisteredEndpointProto, _Mapping]]] = ...) -> None: ...

class RegisteredEndpointProto(_message.Message):
    __slots__ = ("allocation_id", "tenant", "nodes", "port", "protocol")
    ALLOCATION_ID_FIELD_NUMBER: _ClassVar[int]
    TENANT_FIELD_NUMBER: _ClassVar[int]
    NODES_FIELD_NUMBER: _ClassVar[int]
    PORT_FIELD_NUMBER: _ClassVar[int]
    PROTOCOL_FIELD_NUMBER: _ClassVar[int]
    allocation_id: str
    tenant: str
    nodes: _containers.RepeatedScalarFieldContainer[str]
    port: int
    protocol: str
    def __init__(self, allocation_id: _Optional[str] = ..., tenant: _Optional[str] = ..., nodes: _Optional[_Iterable[str]] = ..., port: _Optional[int] = ..., protocol: _Optional[str] = ...) -> None: ...

class CreateTenantRequest(_message.Message):
    __slots__ = ("name", "quota", "isolation_level")
    NAME_FIELD_NUMBER: _ClassVar[int]
    QUOTA_FIELD_NUMBER: _ClassVar[int]
    ISOLATION_LEVEL_FIELD_NUMBER: _ClassVar[int]
    name: str
    quota: TenantQuotaSpec
    isolation_level: str
    def __init__(self, name: _Optional[str] = ..., quota: _Optional[_Union[TenantQuotaSpec, _Mapping]] = ..., isolation_level: _Optional[str] = ...) -> None: ...

class TenantQuotaSpec(_message.Message):
    __slots__ = ("max_nodes", "fair_share_target", "gpu_hours_budget", "max_concurrent_allocations", "node_hours_budget", "burst_allowance")
    MAX_NODES_FIELD_NUMBER: _ClassVar[int]
    FAIR_SHARE_TARGET_FIELD_NUMBER: _ClassVar[int]
    GPU_HOURS_BUDGET_FIELD_NUMBER: _ClassVar[int]
    MAX_CONCURRENT_ALLOCATIONS_FIELD_NUMBER: _ClassVar[int]
    NODE_HOURS_BUDGET_FIELD_NUMBER: _ClassVar[int]
    BURST_ALLOWANCE_FIELD_NUMBER: _ClassVar[int]
    max_nodes: int
    fair_share_target: float
    gpu_hours_budget: float
    max_concurrent_allocations: int
    node_hours_budget: float
    burst_allowance: float
    def __init__(self, max_nodes: _Optional[int] = ..., fair_share_target: _Optional[float] = ..., gpu_hours_budget: _Optional[float] = ..., max_concurrent_allocations: _Optional[int] = ..., node_hours_budget: _Optional[float] = ..., burst_allowance: _Optional[float] = ...) -> None: ...

class TenantResponse(_message.Message):
    __slots__ = ("tenant_id", "name", "quota", "isolation_level")
    TENANT_ID_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    QUOTA_FIELD_NUMBER: _ClassVar[int]
    ISOLATION_LEVEL_FIELD_NUMBER: _ClassVar[int]
    tenant_id: str
    name: str
    quota: TenantQuotaSpec
    isolation_level: str
    def __init__(self, tenant_id: _Optional[str] = ..., name: _Optional[str] = ..., quota: _Optional[_Union[TenantQuotaSpec, _Mapping]] = ..., isolation_level: _Optional[str] = ...) -> None: ...
