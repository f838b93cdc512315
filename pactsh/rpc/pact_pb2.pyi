from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Head(_message.Message):
    __slots__ = ("seq", "hash", "time", "key_id", "signature")
    SEQ_FIELD_NUMBER: _ClassVar[int]
    HASH_FIELD_NUMBER: _ClassVar[int]
    TIME_FIELD_NUMBER: _ClassVar[int]
    KEY_ID_FIELD_NUMBER: _ClassVar[int]
    SIGNATURE_FIELD_NUMBER: _ClassVar[int]
    seq: int
    hash: str
    time: str
    key_id: str
    signature: str
    def __init__(self, seq: _Optional[int] = ..., hash: _Optional[str] = ..., time: _Optional[str] = ..., key_id: _Optional[str] = ..., signature: _Optional[str] = ...) -> None: ...

class Entry(_message.Message):
    __slots__ = ("seq", "hash", "json", "prev_hash")
    SEQ_FIELD_NUMBER: _ClassVar[int]
    HASH_FIELD_NUMBER: _ClassVar[int]
    JSON_FIELD_NUMBER: _ClassVar[int]
    PREV_HASH_FIELD_NUMBER: _ClassVar[int]
    seq: int
    hash: str
    json: bytes
    prev_hash: str
    def __init__(self, seq: _Optional[int] = ..., hash: _Optional[str] = ..., json: _Optional[bytes] = ..., prev_hash: _Optional[str] = ...) -> None: ...

class Entries(_message.Message):
    __slots__ = ("entries", "through")
    ENTRIES_FIELD_NUMBER: _ClassVar[int]
    THROUGH_FIELD_NUMBER: _ClassVar[int]
    entries: _containers.RepeatedCompositeFieldContainer[Entry]
    through: int
    def __init__(self, entries: _Optional[_Iterable[_Union[Entry, _Mapping]]] = ..., through: _Optional[int] = ...) -> None: ...

class AppendRequest(_message.Message):
    __slots__ = ("drafts",)
    DRAFTS_FIELD_NUMBER: _ClassVar[int]
    drafts: _containers.RepeatedScalarFieldContainer[bytes]
    def __init__(self, drafts: _Optional[_Iterable[bytes]] = ...) -> None: ...

class Ack(_message.Message):
    __slots__ = ("number", "seq", "hash", "error_kind", "error", "hint")
    NUMBER_FIELD_NUMBER: _ClassVar[int]
    SEQ_FIELD_NUMBER: _ClassVar[int]
    HASH_FIELD_NUMBER: _ClassVar[int]
    ERROR_KIND_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    HINT_FIELD_NUMBER: _ClassVar[int]
    number: int
    seq: int
    hash: str
    error_kind: str
    error: str
    hint: str
    def __init__(self, number: _Optional[int] = ..., seq: _Optional[int] = ..., hash: _Optional[str] = ..., error_kind: _Optional[str] = ..., error: _Optional[str] = ..., hint: _Optional[str] = ...) -> None: ...

class AppendReply(_message.Message):
    __slots__ = ("acks", "head")
    ACKS_FIELD_NUMBER: _ClassVar[int]
    HEAD_FIELD_NUMBER: _ClassVar[int]
    acks: _containers.RepeatedCompositeFieldContainer[Ack]
    head: Head
    def __init__(self, acks: _Optional[_Iterable[_Union[Ack, _Mapping]]] = ..., head: _Optional[_Union[Head, _Mapping]] = ...) -> None: ...

class Filter(_message.Message):
    __slots__ = ("scope", "type", "author", "since", "session")
    SCOPE_FIELD_NUMBER: _ClassVar[int]
    TYPE_FIELD_NUMBER: _ClassVar[int]
    AUTHOR_FIELD_NUMBER: _ClassVar[int]
    SINCE_FIELD_NUMBER: _ClassVar[int]
    SESSION_FIELD_NUMBER: _ClassVar[int]
    scope: str
    type: str
    author: str
    since: str
    session: str
    def __init__(self, scope: _Optional[str] = ..., type: _Optional[str] = ..., author: _Optional[str] = ..., since: _Optional[str] = ..., session: _Optional[str] = ...) -> None: ...

class ListRequest(_message.Message):
    __slots__ = ("filter", "n", "oldest_first", "before_seq")
    FILTER_FIELD_NUMBER: _ClassVar[int]
    N_FIELD_NUMBER: _ClassVar[int]
    OLDEST_FIRST_FIELD_NUMBER: _ClassVar[int]
    BEFORE_SEQ_FIELD_NUMBER: _ClassVar[int]
    filter: Filter
    n: int
    oldest_first: bool
    before_seq: int
    def __init__(self, filter: _Optional[_Union[Filter, _Mapping]] = ..., n: _Optional[int] = ..., oldest_first: _Optional[bool] = ..., before_seq: _Optional[int] = ...) -> None: ...

class GetRequest(_message.Message):
    __slots__ = ("seq",)
    SEQ_FIELD_NUMBER: _ClassVar[int]
    seq: int
    def __init__(self, seq: _Optional[int] = ...) -> None: ...

class WatchRequest(_message.Message):
    __slots__ = ("filter", "from_seq")
    FILTER_FIELD_NUMBER: _ClassVar[int]
    FROM_SEQ_FIELD_NUMBER: _ClassVar[int]
    filter: Filter
    from_seq: int
    def __init__(self, filter: _Optional[_Union[Filter, _Mapping]] = ..., from_seq: _Optional[int] = ...) -> None: ...

class HeadsRequest(_message.Message):
    __slots__ = ("from_seq", "last")
    FROM_SEQ_FIELD_NUMBER: _ClassVar[int]
    LAST_FIELD_NUMBER: _ClassVar[int]
    from_seq: int
    last: bool
    def __init__(self, from_seq: _Optional[int] = ..., last: _Optional[bool] = ...) -> None: ...

class HeadList(_message.Message):
    __slots__ = ("heads",)
    HEADS_FIELD_NUMBER: _ClassVar[int]
    heads: _containers.RepeatedCompositeFieldContainer[Head]
    def __init__(self, heads: _Optional[_Iterable[_Union[Head, _Mapping]]] = ...) -> None: ...

class ExportRequest(_message.Message):
    __slots__ = ("from_seq",)
    FROM_SEQ_FIELD_NUMBER: _ClassVar[int]
    from_seq: int
    def __init__(self, from_seq: _Optional[int] = ...) -> None: ...

class SignUserRequest(_message.Message):
    __slots__ = ("public_key", "lifetime_s")
    PUBLIC_KEY_FIELD_NUMBER: _ClassVar[int]
    LIFETIME_S_FIELD_NUMBER: _ClassVar[int]
    public_key: str
    lifetime_s: int
    def __init__(self, public_key: _Optional[str] = ..., lifetime_s: _Optional[int] = ...) -> None: ...

class SignHostRequest(_message.Message):
    __slots__ = ("public_key", "names")
    PUBLIC_KEY_FIELD_NUMBER: _ClassVar[int]
    NAMES_FIELD_NUMBER: _ClassVar[int]
    public_key: str
    names: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, public_key: _Optional[str] = ..., names: _Optional[_Iterable[str]] = ...) -> None: ...

class SshCertificate(_message.Message):
    __slots__ = ("certificate", "key_id", "lifetime_s")
    CERTIFICATE_FIELD_NUMBER: _ClassVar[int]
    KEY_ID_FIELD_NUMBER: _ClassVar[int]
    LIFETIME_S_FIELD_NUMBER: _ClassVar[int]
    certificate: str
    key_id: str
    lifetime_s: int
    def __init__(self, certificate: _Optional[str] = ..., key_id: _Optional[str] = ..., lifetime_s: _Optional[int] = ...) -> None: ...

class EnrollAgentRequest(_message.Message):
    __slots__ = ("node", "vcluster", "join_token", "csr_pem", "ssh_host_key", "ssh_host_names")
    NODE_FIELD_NUMBER: _ClassVar[int]
    VCLUSTER_FIELD_NUMBER: _ClassVar[int]
    JOIN_TOKEN_FIELD_NUMBER: _ClassVar[int]
    CSR_PEM_FIELD_NUMBER: _ClassVar[int]
    SSH_HOST_KEY_FIELD_NUMBER: _ClassVar[int]
    SSH_HOST_NAMES_FIELD_NUMBER: _ClassVar[int]
    node: str
    vcluster: str
    join_token: str
    csr_pem: bytes
    ssh_host_key: str
    ssh_host_names: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, node: _Optional[str] = ..., vcluster: _Optional[str] = ..., join_token: _Optional[str] = ..., csr_pem: _Optional[bytes] = ..., ssh_host_key: _Optional[str] = ..., ssh_host_names: _Optional[_Iterable[str]] = ...) -> None: ...

class RenewAgentRequest(_message.Message):
    __slots__ = ("csr_pem",)
    CSR_PEM_FIELD_NUMBER: _ClassVar[int]
    csr_pem: bytes
    def __init__(self, csr_pem: _Optional[bytes] = ...) -> None: ...

class Enrollment(_message.Message):
    __slots__ = ("certificate_pem", "ssh_host_certificate", "trust", "vcluster")
    CERTIFICATE_PEM_FIELD_NUMBER: _ClassVar[int]
    SSH_HOST_CERTIFICATE_FIELD_NUMBER: _ClassVar[int]
    TRUST_FIELD_NUMBER: _ClassVar[int]
    VCLUSTER_FIELD_NUMBER: _ClassVar[int]
    certificate_pem: bytes
    ssh_host_certificate: str
    trust: TrustReply
    vcluster: str
    def __init__(self, certificate_pem: _Optional[bytes] = ..., ssh_host_certificate: _Optional[str] = ..., trust: _Optional[_Union[TrustReply, _Mapping]] = ..., vcluster: _Optional[str] = ...) -> None: ...

class TrustRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class TrustReply(_message.Message):
    __slots__ = ("ca_pem", "ssh_user_ca", "ssh_host_ca", "head_key", "head_key_id")
    CA_PEM_FIELD_NUMBER: _ClassVar[int]
    SSH_USER_CA_FIELD_NUMBER: _ClassVar[int]
    SSH_HOST_CA_FIELD_NUMBER: _ClassVar[int]
    HEAD_KEY_FIELD_NUMBER: _ClassVar[int]
    HEAD_KEY_ID_FIELD_NUMBER: _ClassVar[int]
    ca_pem: bytes
    ssh_user_ca: str
    ssh_host_ca: str
    head_key: bytes
    head_key_id: str
    def __init__(self, ca_pem: _Optional[bytes] = ..., ssh_user_ca: _Optional[str] = ..., ssh_host_ca: _Optional[str] = ..., head_key: _Optional[bytes] = ..., head_key_id: _Optional[str] = ...) -> None: ...

class StatusRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class JournalStatus(_message.Message):
    __slots__ = ("version", "started", "store", "last_seq", "signed_seq", "signed_time", "nodes", "nodes_present", "approvals_open", "systems", "size_bytes", "free_bytes")
    VERSION_FIELD_NUMBER: _ClassVar[int]
    STARTED_FIELD_NUMBER: _ClassVar[int]
    STORE_FIELD_NUMBER: _ClassVar[int]
    LAST_SEQ_FIELD_NUMBER: _ClassVar[int]
    SIGNED_SEQ_FIELD_NUMBER: _ClassVar[int]
    SIGNED_TIME_FIELD_NUMBER: _ClassVar[int]
    NODES_FIELD_NUMBER: _ClassVar[int]
    NODES_PRESENT_FIELD_NUMBER: _ClassVar[int]
    APPROVALS_OPEN_FIELD_NUMBER: _ClassVar[int]
    SYSTEMS_FIELD_NUMBER: _ClassVar[int]
    SIZE_BYTES_FIELD_NUMBER: _ClassVar[int]
    FREE_BYTES_FIELD_NUMBER: _ClassVar[int]
    version: str
    started: str
    store: str
    last_seq: int
    signed_seq: int
    signed_time: str
    nodes: int
    nodes_present: int
    approvals_open: int
    systems: _containers.RepeatedScalarFieldContainer[str]
    size_bytes: int
    free_bytes: int
    def __init__(self, version: _Optional[str] = ..., started: _Optional[str] = ..., store: _Optional[str] = ..., last_seq: _Optional[int] = ..., signed_seq: _Optional[int] = ..., signed_time: _Optional[str] = ..., nodes: _Optional[int] = ..., nodes_present: _Optional[int] = ..., approvals_open: _Optional[int] = ..., systems: _Optional[_Iterable[str]] = ..., size_bytes: _Optional[int] = ..., free_bytes: _Optional[int] = ...) -> None: ...

class NodesRequest(_message.Message):
    __slots__ = ("vcluster", "brief")
    VCLUSTER_FIELD_NUMBER: _ClassVar[int]
    BRIEF_FIELD_NUMBER: _ClassVar[int]
    vcluster: str
    brief: bool
    def __init__(self, vcluster: _Optional[str] = ..., brief: _Optional[bool] = ...) -> None: ...

class NodeRequest(_message.Message):
    __slots__ = ("node",)
    NODE_FIELD_NUMBER: _ClassVar[int]
    node: str
    def __init__(self, node: _Optional[str] = ...) -> None: ...

class Node(_message.Message):
    __slots__ = ("node", "vcluster", "ssh_address", "state", "version", "last_seen", "present", "details", "overlay_wanted")
    NODE_FIELD_NUMBER: _ClassVar[int]
    VCLUSTER_FIELD_NUMBER: _ClassVar[int]
    SSH_ADDRESS_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    LAST_SEEN_FIELD_NUMBER: _ClassVar[int]
    PRESENT_FIELD_NUMBER: _ClassVar[int]
    DETAILS_FIELD_NUMBER: _ClassVar[int]
    OVERLAY_WANTED_FIELD_NUMBER: _ClassVar[int]
    node: str
    vcluster: str
    ssh_address: str
    state: str
    version: str
    last_seen: str
    present: bool
    details: bytes
    overlay_wanted: int
    def __init__(self, node: _Optional[str] = ..., vcluster: _Optional[str] = ..., ssh_address: _Optional[str] = ..., state: _Optional[str] = ..., version: _Optional[str] = ..., last_seen: _Optional[str] = ..., present: _Optional[bool] = ..., details: _Optional[bytes] = ..., overlay_wanted: _Optional[int] = ...) -> None: ...

class NodeList(_message.Message):
    __slots__ = ("nodes",)
    NODES_FIELD_NUMBER: _ClassVar[int]
    nodes: _containers.RepeatedCompositeFieldContainer[Node]
    def __init__(self, nodes: _Optional[_Iterable[_Union[Node, _Mapping]]] = ...) -> None: ...

class NodeReport(_message.Message):
    __slots__ = ("vcluster", "ssh_address", "state", "version", "details")
    VCLUSTER_FIELD_NUMBER: _ClassVar[int]
    SSH_ADDRESS_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    DETAILS_FIELD_NUMBER: _ClassVar[int]
    vcluster: str
    ssh_address: str
    state: str
    version: str
    details: bytes
    def __init__(self, vcluster: _Optional[str] = ..., ssh_address: _Optional[str] = ..., state: _Optional[str] = ..., version: _Optional[str] = ..., details: _Optional[bytes] = ...) -> None: ...

class NodeReportReply(_message.Message):
    __slots__ = ("interval_s",)
    INTERVAL_S_FIELD_NUMBER: _ClassVar[int]
    interval_s: int
    def __init__(self, interval_s: _Optional[int] = ...) -> None: ...

class PolicyRequest(_message.Message):
    __slots__ = ("vcluster",)
    VCLUSTER_FIELD_NUMBER: _ClassVar[int]
    vcluster: str
    def __init__(self, vcluster: _Optional[str] = ...) -> None: ...

class PolicyDocument(_message.Message):
    __slots__ = ("vcluster", "document", "seq", "overlay", "overlay_seq", "judged")
    VCLUSTER_FIELD_NUMBER: _ClassVar[int]
    DOCUMENT_FIELD_NUMBER: _ClassVar[int]
    SEQ_FIELD_NUMBER: _ClassVar[int]
    OVERLAY_FIELD_NUMBER: _ClassVar[int]
    OVERLAY_SEQ_FIELD_NUMBER: _ClassVar[int]
    JUDGED_FIELD_NUMBER: _ClassVar[int]
    vcluster: str
    document: bytes
    seq: int
    overlay: bytes
    overlay_seq: int
    judged: bool
    def __init__(self, vcluster: _Optional[str] = ..., document: _Optional[bytes] = ..., seq: _Optional[int] = ..., overlay: _Optional[bytes] = ..., overlay_seq: _Optional[int] = ..., judged: _Optional[bool] = ...) -> None: ...

class EvaluateRequest(_message.Message):
    __slots__ = ("input",)
    INPUT_FIELD_NUMBER: _ClassVar[int]
    input: bytes
    def __init__(self, input: _Optional[bytes] = ...) -> None: ...

class Judgement(_message.Message):
    __slots__ = ("deny", "approval")
    DENY_FIELD_NUMBER: _ClassVar[int]
    APPROVAL_FIELD_NUMBER: _ClassVar[int]
    deny: _containers.RepeatedScalarFieldContainer[str]
    approval: bool
    def __init__(self, deny: _Optional[_Iterable[str]] = ..., approval: _Optional[bool] = ...) -> None: ...

class ApprovalRequest(_message.Message):
    __slots__ = ("action", "scope", "operation", "summary", "requester")
    ACTION_FIELD_NUMBER: _ClassVar[int]
    SCOPE_FIELD_NUMBER: _ClassVar[int]
    OPERATION_FIELD_NUMBER: _ClassVar[int]
    SUMMARY_FIELD_NUMBER: _ClassVar[int]
    REQUESTER_FIELD_NUMBER: _ClassVar[int]
    action: str
    scope: str
    operation: bytes
    summary: str
    requester: bytes
    def __init__(self, action: _Optional[str] = ..., scope: _Optional[str] = ..., operation: _Optional[bytes] = ..., summary: _Optional[str] = ..., requester: _Optional[bytes] = ...) -> None: ...

class ApprovalDecision(_message.Message):
    __slots__ = ("id", "approve", "reason")
    ID_FIELD_NUMBER: _ClassVar[int]
    APPROVE_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    id: str
    approve: bool
    reason: str
    def __init__(self, id: _Optional[str] = ..., approve: _Optional[bool] = ..., reason: _Optional[str] = ...) -> None: ...

class ApprovalsRequest(_message.Message):
    __slots__ = ("vcluster", "id", "all")
    VCLUSTER_FIELD_NUMBER: _ClassVar[int]
    ID_FIELD_NUMBER: _ClassVar[int]
    ALL_FIELD_NUMBER: _ClassVar[int]
    vcluster: str
    id: str
    all: bool
    def __init__(self, vcluster: _Optional[str] = ..., id: _Optional[str] = ..., all: _Optional[bool] = ...) -> None: ...

class Approval(_message.Message):
    __slots__ = ("json",)
    JSON_FIELD_NUMBER: _ClassVar[int]
    json: bytes
    def __init__(self, json: _Optional[bytes] = ...) -> None: ...

class DelegationRequest(_message.Message):
    __slots__ = ("action", "targets", "vcluster", "facts", "approval", "dry_run")
    ACTION_FIELD_NUMBER: _ClassVar[int]
    TARGETS_FIELD_NUMBER: _ClassVar[int]
    VCLUSTER_FIELD_NUMBER: _ClassVar[int]
    FACTS_FIELD_NUMBER: _ClassVar[int]
    APPROVAL_FIELD_NUMBER: _ClassVar[int]
    DRY_RUN_FIELD_NUMBER: _ClassVar[int]
    action: str
    targets: _containers.RepeatedScalarFieldContainer[str]
    vcluster: str
    facts: bytes
    approval: str
    dry_run: bool
    def __init__(self, action: _Optional[str] = ..., targets: _Optional[_Iterable[str]] = ..., vcluster: _Optional[str] = ..., facts: _Optional[bytes] = ..., approval: _Optional[str] = ..., dry_run: _Optional[bool] = ...) -> None: ...

class DelegationBegun(_message.Message):
    __slots__ = ("id", "principal", "approval_needed", "vcluster", "by_journal")
    ID_FIELD_NUMBER: _ClassVar[int]
    PRINCIPAL_FIELD_NUMBER: _ClassVar[int]
    APPROVAL_NEEDED_FIELD_NUMBER: _ClassVar[int]
    VCLUSTER_FIELD_NUMBER: _ClassVar[int]
    BY_JOURNAL_FIELD_NUMBER: _ClassVar[int]
    id: str
    principal: str
    approval_needed: bool
    vcluster: str
    by_journal: bool
    def __init__(self, id: _Optional[str] = ..., principal: _Optional[str] = ..., approval_needed: _Optional[bool] = ..., vcluster: _Optional[str] = ..., by_journal: _Optional[bool] = ...) -> None: ...

class DelegationOutcome(_message.Message):
    __slots__ = ("id", "target", "status", "answer", "details")
    ID_FIELD_NUMBER: _ClassVar[int]
    TARGET_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    ANSWER_FIELD_NUMBER: _ClassVar[int]
    DETAILS_FIELD_NUMBER: _ClassVar[int]
    id: str
    target: str
    status: int
    answer: str
    details: bytes
    def __init__(self, id: _Optional[str] = ..., target: _Optional[str] = ..., status: _Optional[int] = ..., answer: _Optional[str] = ..., details: _Optional[bytes] = ...) -> None: ...

class DelegationEnded(_message.Message):
    __slots__ = ("seq",)
    SEQ_FIELD_NUMBER: _ClassVar[int]
    seq: int
    def __init__(self, seq: _Optional[int] = ...) -> None: ...

class ProvidersRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class LoginProvider(_message.Message):
    __slots__ = ("issuer", "client_id", "scopes", "takes_id_token", "resource", "redirect_port", "ca")
    ISSUER_FIELD_NUMBER: _ClassVar[int]
    CLIENT_ID_FIELD_NUMBER: _ClassVar[int]
    SCOPES_FIELD_NUMBER: _ClassVar[int]
    TAKES_ID_TOKEN_FIELD_NUMBER: _ClassVar[int]
    RESOURCE_FIELD_NUMBER: _ClassVar[int]
    REDIRECT_PORT_FIELD_NUMBER: _ClassVar[int]
    CA_FIELD_NUMBER: _ClassVar[int]
    issuer: str
    client_id: str
    scopes: _containers.RepeatedScalarFieldContainer[str]
    takes_id_token: bool
    resource: str
    redirect_port: int
    ca: str
    def __init__(self, issuer: _Optional[str] = ..., client_id: _Optional[str] = ..., scopes: _Optional[_Iterable[str]] = ..., takes_id_token: _Optional[bool] = ..., resource: _Optional[str] = ..., redirect_port: _Optional[int] = ..., ca: _Optional[str] = ...) -> None: ...

class ProvidersReply(_message.Message):
    __slots__ = ("providers",)
    PROVIDERS_FIELD_NUMBER: _ClassVar[int]
    providers: _containers.RepeatedCompositeFieldContainer[LoginProvider]
    def __init__(self, providers: _Optional[_Iterable[_Union[LoginProvider, _Mapping]]] = ...) -> None: ...

class VerifyTokenRequest(_message.Message):
    __slots__ = ("token",)
    TOKEN_FIELD_NUMBER: _ClassVar[int]
    token: str
    def __init__(self, token: _Optional[str] = ...) -> None: ...

class VerifiedToken(_message.Message):
    __slots__ = ("principal", "roles", "kind", "expires_at", "issued_at")
    PRINCIPAL_FIELD_NUMBER: _ClassVar[int]
    ROLES_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    EXPIRES_AT_FIELD_NUMBER: _ClassVar[int]
    ISSUED_AT_FIELD_NUMBER: _ClassVar[int]
    principal: str
    roles: _containers.RepeatedScalarFieldContainer[str]
    kind: str
    expires_at: float
    issued_at: float
    def __init__(self, principal: _Optional[str] = ..., roles: _Optional[_Iterable[str]] = ..., kind: _Optional[str] = ..., expires_at: _Optional[float] = ..., issued_at: _Optional[float] = ...) -> None: ...

class RevokeRequest(_message.Message):
    __slots__ = ("kind", "subject", "message")
    KIND_FIELD_NUMBER: _ClassVar[int]
    SUBJECT_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    kind: str
    subject: str
    message: str
    def __init__(self, kind: _Optional[str] = ..., subject: _Optional[str] = ..., message: _Optional[str] = ...) -> None: ...

class Revocation(_message.Message):
    __slots__ = ("kind", "subject", "before", "by", "time", "seq")
    KIND_FIELD_NUMBER: _ClassVar[int]
    SUBJECT_FIELD_NUMBER: _ClassVar[int]
    BEFORE_FIELD_NUMBER: _ClassVar[int]
    BY_FIELD_NUMBER: _ClassVar[int]
    TIME_FIELD_NUMBER: _ClassVar[int]
    SEQ_FIELD_NUMBER: _ClassVar[int]
    kind: str
    subject: str
    before: int
    by: str
    time: str
    seq: int
    def __init__(self, kind: _Optional[str] = ..., subject: _Optional[str] = ..., before: _Optional[int] = ..., by: _Optional[str] = ..., time: _Optional[str] = ..., seq: _Optional[int] = ...) -> None: ...

class RevokeReply(_message.Message):
    __slots__ = ("revocation", "known")
    REVOCATION_FIELD_NUMBER: _ClassVar[int]
    KNOWN_FIELD_NUMBER: _ClassVar[int]
    revocation: Revocation
    known: bool
    def __init__(self, revocation: _Optional[_Union[Revocation, _Mapping]] = ..., known: _Optional[bool] = ...) -> None: ...

class RevocationsRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class RevocationList(_message.Message):
    __slots__ = ("revocations", "whole")
    REVOCATIONS_FIELD_NUMBER: _ClassVar[int]
    WHOLE_FIELD_NUMBER: _ClassVar[int]
    revocations: _containers.RepeatedCompositeFieldContainer[Revocation]
    whole: bool
    def __init__(self, revocations: _Optional[_Iterable[_Union[Revocation, _Mapping]]] = ..., whole: _Optional[bool] = ...) -> None: ...
