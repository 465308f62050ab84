"""A session with NATS Streaming: what was agreed on, and what is said in it. No I/O.

A server knows its clients by an id that they choose; ``connID`` tells two connections of one id
apart. A client asks on ``_STAN.discover.<cluster>``, and the answer names the subjects for all the
rest.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from typing import NamedTuple

from faasd_async.nats.stan import messages
from faasd_async.nats.stan.errors import PublishRefused, SessionUnknown, Unintelligible, refusal
from faasd_async.nats.stan.limits import StanLimits

#: The version of the protocol in which a client pings.
_PROTOCOL = 1


class Said(NamedTuple):
    """Something to be sent."""

    subject: bytes
    payload: bytes


@dataclass(frozen=True, slots=True)
class Introduction:
    """What a client says of itself.

    :ivar conn_id: drawn anew for each session.
    :ivar heartbeat_inbox: where the server asks whether the client is alive.
    """

    cluster_id: str
    client_id: str
    conn_id: bytes
    heartbeat_inbox: bytes

    def connect(self, limits: StanLimits) -> Said:
        """Ask for a session."""
        request = messages.ConnectRequest(
            clientID=self.client_id,
            heartbeatInbox=self.heartbeat_inbox.decode(),
            protocol=_PROTOCOL,
            connID=self.conn_id,
            pingInterval=limits.ping_interval_seconds,
            pingMaxOut=limits.pings_outstanding,
        )
        return Said(b"_STAN.discover.%b" % self.cluster_id.encode(), messages.write(request))

    def agree(self, answer: bytes, limits: StanLimits) -> Session:
        """What came of it.

        :raises SessionRefused: no session.
        :raises Unintelligible: no answer either.
        """
        response = messages.read(messages.ConnectResponse, answer)
        if response.error:
            raise refusal(response.error)
        if not response.pubPrefix or not response.subRequests or not response.closeRequests:
            raise Unintelligible("an answer of NATS Streaming's names no subjects")
        return Session(
            client_id=self.client_id,
            conn_id=self.conn_id,
            publish_prefix=response.pubPrefix.encode(),
            subscribe_subject=response.subRequests.encode(),
            close_subscription_subject=response.subCloseRequests.encode(),
            close_subject=response.closeRequests.encode(),
            ping_subject=response.pingRequests.encode(),
            ping_interval_seconds=response.pingInterval or limits.ping_interval_seconds,
            pings_outstanding=min(
                response.pingMaxOut or limits.pings_outstanding, limits.pings_outstanding
            ),
        )


@dataclass(frozen=True, slots=True)
class Session:
    """A session that was agreed on.

    :ivar ping_subject: empty if the server knows no pings.
    """

    client_id: str
    conn_id: bytes
    publish_prefix: bytes
    subscribe_subject: bytes
    close_subscription_subject: bytes
    close_subject: bytes
    ping_subject: bytes
    ping_interval_seconds: int
    pings_outstanding: int

    def publish(self, channel: str, data: bytes, guid: str) -> Said:
        """Have a message stored.

        :param guid: by which its acknowledgement will name it.
        """
        message = messages.PubMsg(
            clientID=self.client_id, guid=guid, subject=channel, data=data, connID=self.conn_id
        )
        return Said(b"%b.%b" % (self.publish_prefix, channel.encode()), messages.write(message))

    def subscribe(
        self, channel: str, group: str, inbox: bytes, *, max_in_flight: int, ack_wait_seconds: int
    ) -> Said:
        """Become a member of a durable group, which has all that the channel holds."""
        request = messages.SubscriptionRequest(
            clientID=self.client_id,
            subject=channel,
            qGroup=group,
            inbox=inbox.decode(),
            maxInFlight=max_in_flight,
            ackWaitInSecs=ack_wait_seconds,
            durableName=durable_name(channel),
            startPosition=messages.FIRST,
        )
        return Said(self.subscribe_subject, messages.write(request))

    def close_subscription(self, channel: str, ack_inbox: bytes) -> Said:
        """Leave the group, which remembers how far it has come."""
        request = messages.UnsubscribeRequest(
            clientID=self.client_id,
            subject=channel,
            inbox=ack_inbox.decode(),
            durableName=durable_name(channel),
        )
        return Said(self.close_subscription_subject, messages.write(request))

    def ping(self) -> Said:
        """Ask whether the server knows this session still."""
        return Said(self.ping_subject, messages.write(messages.Ping(connID=self.conn_id)))

    def close(self) -> Said:
        """End the session."""
        request = messages.CloseRequest(clientID=self.client_id)
        return Said(self.close_subject, messages.write(request))


def new_id() -> str:
    """Something that names a connection, or a message, and no other."""
    return secrets.token_hex(11)


def durable_name(channel: str) -> str:
    """What OpenFaaS' queue-worker calls its group's memory of a channel."""
    return channel.replace(".", "_")


def read_pub_ack(answer: bytes, guid: str) -> None:
    """Look whether a message was stored.

    :raises PublishRefused: it was not.
    :raises Unintelligible: nobody knows.
    """
    ack = messages.read(messages.PubAck, answer)
    if ack.error:
        raise PublishRefused(f"NATS Streaming did not store a message: {ack.error}")
    if ack.guid != guid:
        raise Unintelligible("an acknowledgement of NATS Streaming's names another message")


def read_subscribed(answer: bytes) -> bytes:
    """Where to acknowledge what a subscription brings.

    :raises SessionRefused: there is no subscription.
    """
    response = messages.read(messages.SubscriptionResponse, answer)
    if response.error or not response.ackInbox:
        raise refusal(response.error or "a subscription without an inbox for acknowledgements")
    inbox: bytes = response.ackInbox.encode()
    return inbox


def read_pong(answer: bytes) -> None:
    """Look whether the server knows the session.

    :raises SessionUnknown: it does not.
    """
    response = messages.read(messages.PingResponse, answer)
    if response.error:
        raise SessionUnknown(f"NATS Streaming: {response.error}")


def read_closed(answer: bytes) -> None:
    """Look whether a session has ended as it should.

    :raises SessionRefused: the server knew of none.
    """
    response = messages.read(messages.CloseResponse, answer)
    if response.error:
        raise refusal(response.error)
