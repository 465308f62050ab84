"""Why a function is not deployed, changed or removed as it was ordered."""

from faasd_async.errors import FaasdAsyncError


class RosterError(FaasdAsyncError):
    """The order was not carried out.

    :cvar status: the HTTP status that says so.
    """

    status = 500


class NotUsable(RosterError):
    """What was ordered cannot be deployed here; the text says what would be (HTTP 400)."""

    status = 400


class NotPermitted(RosterError):
    """The settings do not allow it; the text says which would (HTTP 403)."""

    status = 403


class Unknown(RosterError):
    """There is nothing of that name (HTTP 404)."""

    status = 404


class Kept(RosterError):
    """It is somebody else's to change: the file's, or a function's that needs it (HTTP 409)."""

    status = 409


class NotYet(RosterError):
    """The functions are not all deployed yet: the daemon is starting (HTTP 503)."""

    status = 503


class NotStored(RosterError):
    """It could not be written down, and nothing has changed (HTTP 507)."""

    status = 507
