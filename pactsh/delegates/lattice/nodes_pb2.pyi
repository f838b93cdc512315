import datetime

from google.protobuf import timestamp_pb2 as _timestamp_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class ListNodesRequest(_message.Message):
    __slots__ = ("state", "group", "tenant", "vcluster", "limit", "cursor")
    STATE_FIELD_NUMBER: _ClassVar[int]
    GROUP_FIELD_NUMBER: _ClassVar[int]
    TENANT_FIELD_NUMBER: _ClassVar[int]
    VCLUSTER_FIELD_NUMBER: _ClassVar[int]
    LIMIT_FIELD_NUMBER: _ClassVar[int]
    CURSOR_FIELD_NUMBER: _ClassVar[int]
    state: str
    group: str
    tenant: str
    vcluster: str
    limit: int
    cursor: str
    def __init__(self, state: _Optional[str] = ..., group: _Optional[str] = ..., tenant: _Optional[str] = ..., vcluster: _Optional[str] = ..., limit: _Optional[int] = ..., cursor: _Optional[str] = ...) -> None: ...

class ListNodesResponse(_message.Message):
    __slots__ = ("nodes", "next_cursor")
    NODES_FIELD_NUMBER: _ClassVar[int]
    NEXT_CURSOR_FIELD_NUMBER: _ClassVar[int]
    nodes: _containers.RepeatedCompositeFieldContainer[NodeStatus]
    next_cursor: str
    def __init__(self, nodes: _Optional[_Iterable[_Union[NodeStatus, _Mapping]]] = ..., next_cursor: _Optional[str] = ...) -> None: ...

class GetNodeRequest(_message.Message):
    __slots__ = ("node_id",)
    NODE_ID_FIELD_NUMBER: _ClassVar[int]
    node_id: str
    def __init__(self, node_id: _Optional[str] = ...) -> None: ...

class NodeStatus(_message.Message):
    __slots__ = ("node_id", "state", "state_reason", "group", "gpu_type", "gpu_count", "cpu_cores", "memory_gb", "features", "owner_tenant", "owner_vcluster", "owner_allocation", "claimed_by", "is_borrowed", "conformance_fingerprint", "last_heartbeat", "allocation_ids", "memory_domains", "memory_interconnects", "total_memory_capacity_bytes", "agent_address", "consecutive_dispatch_failures", "reattach_in_progress")
    NODE_ID_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    STATE_REASON_FIELD_NUMBER: _ClassVar[int]
    GROUP_FIELD_NUMBER: _ClassVar[int]
    GPU_TYPE_FIELD_NUMBER: _ClassVar[int]
    GPU_COUNT_FIELD_NUMBER: _ClassVar[int]
    CPU_CORES_FIELD_NUMBER: _ClassVar[int]
    MEMORY_GB_FIELD_NUMBER: _ClassVar[int]
    FEATURES_FIELD_NUMBER: _ClassVar[int]
    OWNER_TENANT_FIELD_NUMBER: _ClassVar[int]
    OWNER_VCLUSTER_FIELD_NUMBER: _ClassVar[int]
    OWNER_ALLOCATION_FIELD_NUMBER: _ClassVar[int]
    CLAIMED_BY_FIELD_NUMBER: _ClassVar[int]
    IS_BORROWED_FIELD_NUMBER: _ClassVar[int]
    CONFORMANCE_FINGERPRINT_FIELD_NUMBER: _ClassVar[int]
    LAST_HEARTBEAT_FIELD_NUMBER: _ClassVar[int]
    ALLOCATION_IDS_FIELD_NUMBER: _ClassVar[int]
    MEMORY_DOMAINS_FIELD_NUMBER: _ClassVar[int]
    MEMORY_INTERCONNECTS_FIELD_NUMBER: _ClassVar[int]
    TOTAL_MEMORY_CAPACITY_BYTES_FIELD_NUMBER: _ClassVar[int]
    AGENT_ADDRESS_FIELD_NUMBER: _ClassVar[int]
    CONSECUTIVE_DISPATCH_FAILURES_FIELD_NUMBER: _ClassVar[int]
    REATTACH_IN_PROGRESS_FIELD_NUMBER: _ClassVar[int]
    node_id: str
    state: str
    state_reason: str
    group: int
    gpu_type: str
    gpu_count: int
    cpu_cores: int
    memory_gb: int
    features: _containers.RepeatedScalarFieldContainer[str]
    owner_tenant: str
    owner_vcluster: str
    owner_allocation: str
    claimed_by: str
    is_borrowed: bool
    conformance_fingerprint: str
    last_heartbeat: _timestamp_pb2.Timestamp
    allocation_ids: _containers.RepeatedScalarFieldContainer[str]
    memory_domains: _containers.RepeatedCompositeFieldContainer[MemoryDomainProto]
    memory_interconnects: _containers.RepeatedCompositeFieldContainer[MemoryInterconnectProto]
    total_memory_capacity_bytes: int
    agent_address: str
    consecutive_dispatch_failures: int
    reattach_in_progress: bool
    def __init__(self, node_id: _Optional[str] = ..., state: _Optional[str] = ..., state_reason: _Optional[str] = ..., group: _Optional[int] = ..., gpu_type: _Optional[str] = ..., gpu_count: _Optional[int] = ..., cpu_cores: _Optional[int] = ..., memory_gb: _Optional[int] = ..., features: _Optional[_Iterable[str]] = ..., owner_tenant: _Optional[str] = ..., owner_vcluster: _Optional[str] = ..., owner_allocation: _Optional[str] = ..., claimed_by: _Optional[str] = ..., is_borrowed: _Optional[bool] = ..., conformance_fingerprint: _Optional[str] = ..., last_heartbeat: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., allocation_ids: _Optional[_Iterable[str]] = ..., memory_domains: _Optional[_Iterable[_Union[MemoryDomainProto, _Mapping]]] = ..., memory_interconnects: _Optional[_Iterable[_Union[MemoryInterconnectProto, _Mapping]]] = ..., total_memory_capacity_bytes: _Optional[int] = ..., agent_address: _Optional[str] = ..., consecutive_dispatch_failures: _Optional[int] = ..., reattach_in_progress: _Optional[bool] = ...) -> None: ...

class MemoryDomainProto(_message.Message):
    __slots__ = ("id", "domain_type", "capacity_bytes", "numa_node", "attached_cpus", "attached_gpus")
    ID_FIELD_NUMBER: _ClassVar[int]
    DOMAIN_TYPE_FIELD_NUMBER: _ClassVar[int]
    CAPACITY_BYTES_FIELD_NUMBER: _ClassVar[int]
    NUMA_NODE_FIELD_NUMBER: _ClassVar[int]
    ATTACHED_CPUS_FIELD_NUMBER: _ClassVar[int]
    ATTACHED_GPUS_FIELD_NUMBER: _ClassVar[int]
    id: int
    domain_type: str
    capacity_bytes: int
    numa_node: int
    attached_cpus: _containers.RepeatedScalarFieldContainer[int]
    attached_gpus: _containers.RepeatedScalarFieldContainer[int]
    def __init__(self, id: _Optional[int] = ..., domain_type: _Optional[str] = ..., capacity_bytes: _Optional[int] = ..., numa_node: _Optional[int] = ..., attached_cpus: _Optional[_Iterable[int]] = ..., attached_gpus: _Optional[_Iterable[int]] = ...) -> None: ...

class MemoryInterconnectProto(_message.Message):
    __slots__ = ("domain_a", "domain_b", "link_type", "bandwidth_gbps", "latency_ns")
    DOMAIN_A_FIELD_NUMBER: _ClassVar[int]
    DOMAIN_B_FIELD_NUMBER: _ClassVar[int]
    LINK_TYPE_FIELD_NUMBER: _ClassVar[int]
    BANDWIDTH_GBPS_FIELD_NUMBER: _ClassVar[int]
    LATENCY_NS_FIELD_NUMBER: _ClassVar[int]
    domain_a: int
    domain_b: int
    link_type: str
    bandwidth_gbps: float
    latency_ns: int
    def __init__(self, domain_a: _Optional[int] = ..., domain_b: _Optional[int] = ..., link_type: _Optional[str] = ..., bandwidth_gbps: _Optional[float] = ..., latency_ns: _Optional[int] = ...) -> None: ...

class DrainNodeRequest(_message.Message):
    __slots__ = ("node_id", "reason")
    NODE_ID_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    node_id: str
    reason: str
    def __init__(self, node_id: _Optional[str] = ..., reason: _Optional[str] = ...) -> None: ...

class DrainNodeResponse(_message.Message):
    __slots__ = ("success", "active_allocations")
    SUCCESS_FIELD_NUMBER: _ClassVar[int]
    ACTIVE_ALLOCATIONS_FIELD_NUMBER: _ClassVar[int]
    success: bool
    active_allocations: int
    def __init__(self, success: _Optional[bool] = ..., active_allocations: _Optional[int] = ...) -> None: ...

class UndrainNodeRequest(_message.Message):
    __slots__ = ("node_id",)
    NODE_ID_FIELD_NUMBER: _ClassVar[int]
    node_id: str
    def __init__(self, node_id: _Optional[str] = ...) -> None: ...

class UndrainNodeResponse(_message.Message):
    __slots__ = ("success",)
    SUCCESS_FIELD_NUMBER: _ClassVar[int]
    success: bool
    def __init__(self, success: _Optional[bool] = ...) -> None: ...

class DisableNodeRequest(_message.Message):
    __slots__ = ("node_id", "reason")
    NODE_ID_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    node_id: str
    reason: str
    def __init__(self, node_id: _Optional[str] = ..., reason: _Optional[str] = ...) -> None: ...

class DisableNodeResponse(_message.Message):
    __slots__ = ("success",)
    SUCCESS_FIELD_NUMBER: _ClassVar[int]
    success: bool
    def __init__(self, success: _Optional[bool] = ...) -> None: ...

class EnableNodeRequest(_message.Message):
    __slots__ = ("node_id",)
    NODE_ID_FIELD_NUMBER: _ClassVar[int]
    node_id: str
    def __init__(self, node_id: _Optional[str] = ...) -> None: ...

class EnableNodeResponse(_message.Message):
    __slots__ = ("success",)
    SUCCESS_FIELD_NUMBER: _ClassVar[int]
    success: bool
    def __init__(self, success: _Optional[bool] = ...) -> None: ...

class HealthRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class HealthResponse(_message.Message):
    __slots__ = ("status", "version", "uptime_secs")
    STATUS_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    UPTIME_SECS_FIELD_NUMBER: _ClassVar[int]
    status: str
    version: str
    uptime_secs: int
    def __init__(self, status: _Optional[str] = ..., version: _Optional[str] = ..., uptime_secs: _Optional[int] = ...) -> None: ...

class RegisterNodeRequest(_message.Message):
    __slots__ = ("node_id", "gpu_type", "gpu_count", "cpu_cores", "memory_gb", "features", "memory_domains", "memory_interconnects", "total_memory_capacity_bytes", "agent_address")
    NODE_ID_FIELD_NUMBER: _ClassVar[int]
    GPU_TYPE_FIELD_NUMBER: _ClassVar[int]
    GPU_COUNT_FIELD_NUMBER: _ClassVar[int]
    CPU_CORES_FIELD_NUMBER: _ClassVar[int]
    MEMORY_GB_FIELD_NUMBER: _ClassVar[int]
    FEATURES_FIELD_NUMBER: _ClassVar[int]
    MEMORY_DOMAINS_FIELD_NUMBER: _ClassVar[int]
    MEMORY_INTERCONNECTS_FIELD_NUMBER: _ClassVar[int]
    TOTAL_MEMORY_CAPACITY_BYTES_FIELD_NUMBER: _ClassVar[int]
    AGENT_ADDRESS_FIELD_NUMBER: _ClassVar[int]
    node_id: str
    gpu_type: str
    gpu_count: int
    cpu_cores: int
    memory_gb: int
    features: _containers.RepeatedScalarFieldContainer[str]
    memory_domains: _containers.RepeatedCompositeFieldContainer[MemoryDomainProto]
    memory_interconnects: _containers.RepeatedCompositeFieldContainer[MemoryInterconnectProto]
    total_memory_capacity_bytes: int
    agent_address: str
    def __init__(self, node_id: _Optional[str] = ..., gpu_type: _Optional[str] = ..., gpu_count: _Optional[int] = ..., cpu_cores: _Optional[int] = ..., memory_gb: _Optional[int] = ..., features: _Optional[_Iterable[str]] = ..., memory_domains: _Optional[_Iterable[_Union[MemoryDomainProto, _Mapping]]] = ..., memory_interconnects: _Optional[_Iterable[_Union[MemoryInterconnectProto, _Mapping]]] = ..., total_memory_capacity_bytes: _Optional[int] = ..., agent_address: _Optional[str] = ...) -> None: ...

class RegisterNodeResponse(_message.Message):
    __slots__ = ("success", "reason")
    SUCCESS_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    success: bool
    reason: str
    def __init__(self, success: _Optional[bool] = ..., reason: _Optional[str] = ...) -> None: ...
