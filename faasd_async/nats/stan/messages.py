"""The messages of NATS Streaming, as protocol buffers.

Their classes are made here, at run time, out of this table of field numbers and types: so there is
no generated file, and no compiler is needed.
"""

from typing import Any, Final

from google.protobuf.descriptor_pb2 import FieldDescriptorProto, FileDescriptorProto
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message import DecodeError
from google.protobuf.message_factory import GetMessageClass

from faasd_async.nats.stan.errors import Unintelligible

_PACKAGE: Final = "faasd_async.nats.stan"

#: Message, field, number and type.
_FIELDS: Final = """
PubMsg               clientID       1  string
PubMsg               guid           2  string
PubMsg               subject        3  string
PubMsg               reply          4  string
PubMsg               data           5  bytes
PubMsg               connID         6  bytes
PubMsg               sha256         10 bytes
PubAck               guid           1  string
PubAck               error          2  string
MsgProto             sequence       1  uint64
MsgProto             subject        2  string
MsgProto             reply          3  string
MsgProto             data           4  bytes
MsgProto             timestamp      5  int64
MsgProto             redelivered    6  bool
MsgProto             redeliveryCount 7 uint32
MsgProto             CRC32          10 uint32
Ack                  subject        1  string
Ack                  sequence       2  uint64
ConnectRequest       clientID       1  string
ConnectRequest       heartbeatInbox 2  string
ConnectRequest       protocol       3  int32
ConnectRequest       connID         4  bytes
ConnectRequest       pingInterval   5  int32
ConnectRequest       pingMaxOut     6  int32
ConnectResponse      pubPrefix      1  string
ConnectResponse      subRequests    2  string
ConnectResponse      unsubRequests  3  string
ConnectResponse      closeRequests  4  string
ConnectResponse      error          5  string
ConnectResponse      subCloseRequests 6 string
ConnectResponse      pingRequests   7  string
ConnectResponse      pingInterval   8  int32
ConnectResponse      pingMaxOut     9  int32
ConnectResponse      protocol       10 int32
ConnectResponse      publicKey      100 string
Ping                 connID         1  bytes
PingResponse         error          1  string
SubscriptionRequest  clientID       1  string
SubscriptionRequest  subject        2  string
SubscriptionRequest  qGroup         3  string
SubscriptionRequest  inbox          4  string
SubscriptionRequest  maxInFlight    5  int32
SubscriptionRequest  ackWaitInSecs  6  int32
SubscriptionRequest  durableName    7  string
SubscriptionRequest  startPosition  10 int32
SubscriptionRequest  startSequence  11 uint64
SubscriptionRequest  startTimeDelta 12 int64
SubscriptionResponse ackInbox       2  string
SubscriptionResponse error          3  string
UnsubscribeRequest   clientID       1  string
UnsubscribeRequest   subject        2  string
UnsubscribeRequest   inbox          3  string
UnsubscribeRequest   durableName    4  string
CloseRequest         clientID       1  string
CloseResponse        error          1  string
"""

_TYPES: Final = {
    "string": FieldDescriptorProto.TYPE_STRING,
    "bytes": FieldDescriptorProto.TYPE_BYTES,
    "bool": FieldDescriptorProto.TYPE_BOOL,
    "int32": FieldDescriptorProto.TYPE_INT32,
    "int64": FieldDescriptorProto.TYPE_INT64,
    "uint32": FieldDescriptorProto.TYPE_UINT32,
    "uint64": FieldDescriptorProto.TYPE_UINT64,
}

#: ``startPosition``, an enumeration, which is a number on the wire: all that is there.
FIRST: Final = 4


def _make() -> dict[str, Any]:
    file = FileDescriptorProto(name="stan.proto", package=_PACKAGE, syntax="proto3")
    messages: dict[str, Any] = {}
    for line in _FIELDS.split("\n"):
        if line:
            message, name, number, kind = line.split()
            if message not in messages:
                messages[message] = file.message_type.add(name=message)
            messages[message].field.add(
                name=name,
                number=int(number),
                type=_TYPES[kind],
                label=FieldDescriptorProto.LABEL_OPTIONAL,
            )
    # A pool of our own: what other packages call their messages is nothing to these.
    pool = DescriptorPool()
    pool.Add(file)
    found = {name: pool.FindMessageTypeByName(f"{_PACKAGE}.{name}") for name in messages}
    return {name: GetMessageClass(descriptor) for name, descriptor in found.items()}


_CLASSES: Final = _make()

# No type checker sees what is made at run time.
PubMsg: Any = _CLASSES["PubMsg"]
PubAck: Any = _CLASSES["PubAck"]
MsgProto: Any = _CLASSES["MsgProto"]
Ack: Any = _CLASSES["Ack"]
ConnectRequest: Any = _CLASSES["ConnectRequest"]
ConnectResponse: Any = _CLASSES["ConnectResponse"]
Ping: Any = _CLASSES["Ping"]
PingResponse: Any = _CLASSES["PingResponse"]
SubscriptionRequest: Any = _CLASSES["SubscriptionRequest"]
SubscriptionResponse: Any = _CLASSES["SubscriptionResponse"]
UnsubscribeRequest: Any = _CLASSES["UnsubscribeRequest"]
CloseRequest: Any = _CLASSES["CloseRequest"]
CloseResponse: Any = _CLASSES["CloseResponse"]


def read(kind: Any, payload: bytes) -> Any:
    """A message out of its bytes.

    :param kind: one of the classes above.
    :raises Unintelligible: it is none of that kind.
    """
    try:
        return kind.FromString(payload)
    except DecodeError as reason:
        raise Unintelligible(f"no {kind.DESCRIPTOR.name} of NATS Streaming's: {reason}") from None


def write(message: Any) -> bytes:
    """Its bytes."""
    written: bytes = message.SerializeToString()
    return written
