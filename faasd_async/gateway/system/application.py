"""The operator's routes. Each is a few lines: what a route does stands in a module of its own."""

from __future__ import annotations

from klein import Klein
from klein.resource import KleinResource

from faasd_async.gateway.answers import done, explain_errors, json
from faasd_async.gateway.query import Query, named
from faasd_async.gateway.request import GatewayRequest
from faasd_async.gateway.system.dead_letters import DeadLetterOffice
from faasd_async.gateway.system.flow import Flow
from faasd_async.gateway.system.flow_sheet import Sheet
from faasd_async.gateway.system.live import Live
from faasd_async.gateway.system.provider import Provider
from faasd_async.gateway.system.recent import RecentCalls
from faasd_async.gateway.system.schedules import Timetable
from faasd_async.queue.interface import Source

_READ_ONLY = ("GET", "HEAD")


class SystemGateway:
    """Everything under ``/system/``. Whoever gets here has been admitted."""

    app = Klein()
    app.url_map.merge_slashes = False
    app.url_map.strict_slashes = False
    explain_errors(app)

    def __init__(
        self,
        *,
        dead_letters: DeadLetterOffice,
        flow: Flow,
        timetable: Timetable,
        provider: Provider,
        recent: RecentCalls,
        live: Live,
    ) -> None:
        self._dead_letters = dead_letters
        self._flow = flow
        self._timetable = timetable
        self._provider = provider
        self._recent = recent
        self._live = live

    def resource(self) -> KleinResource:
        return self.app.resource()

    @app.route("/queues", methods=["GET"])
    async def queues(self, request: GatewayRequest) -> bytes:
        _ask_nothing(request)
        return json(request, 200, await self._flow.sheet())

    @app.route("/queues/<name>/<any(pause, resume, purge):order>", methods=["POST"])
    async def order_queue(self, request: GatewayRequest, name: str, order: str) -> bytes:
        _ask_nothing(request)
        return json(request, 200, await self._ordered(order, self._flow.queue(named(name))))

    @app.route("/function/<name>/<any(pause, resume, purge):order>", methods=["POST"])
    async def order_function(self, request: GatewayRequest, name: str, order: str) -> bytes:
        _ask_nothing(request)
        return json(request, 200, await self._ordered(order, self._flow.function(named(name))))

    async def _ordered(self, order: str, source: Source) -> Sheet:
        flow = self._flow
        orders = {"pause": flow.pause, "resume": flow.resume, "purge": flow.purge}
        return await orders[order](source)

    @app.route("/calls", methods=_READ_ONLY)
    async def calls(self, request: GatewayRequest) -> bytes:
        return json(request, 200, await self._recent.page(Query(request.args)))

    @app.route("/calls/<call_id>", methods=_READ_ONLY)
    async def call(self, request: GatewayRequest, call_id: str) -> bytes:
        sheet = await self._recent.request(named(call_id), Query(request.args))
        return json(request, 200, sheet)

    @app.route("/events", methods=_READ_ONLY)
    async def events(self, request: GatewayRequest) -> None:
        _ask_nothing(request)
        await self._live.tell(request)

    @app.route("/dead-letters", methods=["GET"])
    async def dead_letters(self, request: GatewayRequest) -> bytes:
        return json(request, *await self._dead_letters.page(request.args))

    @app.route("/dead-letters", methods=["DELETE"])
    async def purge_dead_letters(self, request: GatewayRequest) -> bytes:
        return json(request, *await self._dead_letters.purge(request.args))

    @app.route("/dead-letters/replay", methods=["POST"])
    async def replay_dead_letters(self, request: GatewayRequest) -> bytes:
        body = request.read_body()
        return json(request, *await self._dead_letters.replay_many(request.args, body))

    @app.route("/dead-letters/<call_id>", methods=["GET"])
    async def dead_letter(self, request: GatewayRequest, call_id: str) -> bytes:
        return json(request, *await self._dead_letters.show(named(call_id), request.args))

    @app.route("/dead-letters/<call_id>", methods=["DELETE"])
    async def purge_dead_letter(self, request: GatewayRequest, call_id: str) -> bytes:
        return json(request, *await self._dead_letters.purge_named(named(call_id), request.args))

    @app.route("/dead-letters/<call_id>/replay", methods=["POST"])
    async def replay_dead_letter(self, request: GatewayRequest, call_id: str) -> bytes:
        answer = await self._dead_letters.replay_named(
            named(call_id), request.args, request.read_body()
        )
        return json(request, *answer)

    @app.route("/schedules", methods=["GET"])
    async def schedules(self, request: GatewayRequest) -> bytes:
        _ask_nothing(request)
        return json(request, 200, await self._timetable.sheet())

    @app.route("/schedules/<name>", methods=["DELETE"])
    async def remove_schedule(self, request: GatewayRequest, name: str) -> bytes:
        _ask_nothing(request)
        return json(request, 200, await self._timetable.remove(named(name)))

    @app.route("/schedules/<name>/restore", methods=["POST"])
    async def restore_schedule(self, request: GatewayRequest, name: str) -> bytes:
        _ask_nothing(request)
        return json(request, 200, await self._timetable.restore(named(name)))

    # -- as OpenFaaS has it

    @app.route("/info", methods=_READ_ONLY)
    async def info(self, request: GatewayRequest) -> bytes:
        return json(request, 200, await self._provider.info())

    @app.route("/namespaces", methods=_READ_ONLY)
    async def namespaces(self, request: GatewayRequest) -> bytes:
        return json(request, 200, await self._provider.namespaces())

    @app.route("/namespace/<name>", methods=_READ_ONLY)
    async def namespace(self, request: GatewayRequest, name: str) -> bytes:
        return json(request, 200, await self._provider.about_namespace(named(name)))

    @app.route("/namespace/", methods=["POST"])
    async def create_namespace(self, request: GatewayRequest) -> bytes:
        await self._provider.order_namespace("POST", "", request.read_body())
        return done(request, 201)

    @app.route("/namespace/<name>", methods=["PUT", "DELETE"])
    async def change_namespace(self, request: GatewayRequest, name: str) -> bytes:
        method = request.method.decode()
        await self._provider.order_namespace(method, named(name), request.read_body())
        return done(request, 202)

    @app.route("/functions", methods=_READ_ONLY)
    async def functions(self, request: GatewayRequest) -> bytes:
        return json(request, 200, await self._provider.functions.page(Query(request.args)))

    @app.route("/function/<name>", methods=_READ_ONLY)
    async def function(self, request: GatewayRequest, name: str) -> bytes:
        sheet = await self._provider.functions.show(named(name), Query(request.args))
        return json(request, 200, sheet)

    @app.route("/functions", methods=["POST", "PUT"])
    async def deploy_function(self, request: GatewayRequest) -> bytes:
        is_new = request.method == b"POST"
        await self._provider.functions.deploy(request.read_body(), new=is_new)
        return done(request, 202)

    @app.route("/functions", methods=["DELETE"])
    async def remove_function(self, request: GatewayRequest) -> bytes:
        await self._provider.functions.remove(request.read_body())
        return done(request, 202)

    @app.route("/scale-function/<name>", methods=["POST"])
    async def scale_function(self, request: GatewayRequest, name: str) -> bytes:
        await self._provider.functions.scale(named(name), request.read_body())
        return done(request, 202)

    @app.route("/secrets", methods=_READ_ONLY)
    async def secrets(self, request: GatewayRequest) -> bytes:
        return json(request, 200, await self._provider.secrets.page(Query(request.args)))

    @app.route("/secrets", methods=["POST"])
    async def create_secret(self, request: GatewayRequest) -> bytes:
        await self._provider.secrets.create(request.read_body())
        return done(request, 201)

    @app.route("/secrets", methods=["PUT"])
    async def update_secret(self, request: GatewayRequest) -> bytes:
        await self._provider.secrets.update(request.read_body())
        return done(request, 202)

    @app.route("/secrets", methods=["DELETE"])
    async def remove_secret(self, request: GatewayRequest) -> bytes:
        await self._provider.secrets.remove(request.read_body())
        return done(request, 202)

    @app.route("/logs", methods=["GET"])
    async def logs(self, request: GatewayRequest) -> None:
        await self._provider.logs.show(Query(request.args), request)


def _ask_nothing(request: GatewayRequest) -> None:
    """
    :raises Refusal: 400, naming a parameter: whoever gives one means something else.
    """
    Query(request.args).finish()
