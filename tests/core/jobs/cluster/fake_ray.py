"""As much of Ray as we use, in this process: actors that answer when somebody waits, and die when they are told to."""

import importlib.machinery
import itertools
import time
import types


class RayError(Exception):
    pass


class RayActorError(RayError):
    pass


class RayTaskError(RayError):
    pass


class Method:
    def __init__(self, ray, actor, name):
        self._ray, self._actor, self._name = ray, actor, name

    def remote(self, *given):
        ticket = next(self._ray.numbers)
        self._ray.asked[ticket] = self._actor, self._name, given
        return ticket


class Actor:
    def __init__(self, ray, made, setup):
        self.number, self.model, self.dead = len(ray.actors) + 1, made(setup), False
        self.greet, self.measure = Method(ray, self, "greet"), Method(ray, self, "measure")
        self.is_there = Method(ray, self, "is_there")
        ray.actors.append(self)


class FakeRay(types.ModuleType):
    """The module; `die` is told an actor's number and the cells that it is given (none: it loads the model).

    Attributes:
        last_first: of several answers the latest comes first.
        full: no actor finds room, nothing is answered.
    """

    def __init__(self, resources=None, die=lambda number, cells: False, last_first=False):
        super().__init__("ray")
        self.__spec__ = importlib.machinery.ModuleSpec("ray", None)
        self.exceptions = types.SimpleNamespace(
            RayError=RayError, RayActorError=RayActorError, RayTaskError=RayTaskError
        )
        self.util = types.SimpleNamespace(get_node_ip_address=lambda: "127.0.0.1")
        self.resources, self.die, self.last_first = resources or {"CPU": 2.0}, die, last_first
        self.numbers, self.asked, self.actors, self.bundles = itertools.count(), {}, [], []
        self.began, self.options, self.is_up, self.full = None, None, False, False

    def init(self, **given):
        self.began, self.is_up = given, True

    def nodes(self):
        return [{"Alive": True, "Resources": self.resources}, {"Alive": False, "Resources": {"CPU": 64.0}}]

    def remote(self, **options):
        self.options = options
        return lambda made: types.SimpleNamespace(remote=lambda setup: Actor(self, made, setup))

    def wait(self, tickets, num_returns=1, timeout=None):
        if self.full:
            time.sleep(timeout)
            return [], tickets
        chosen = max(tickets) if self.last_first else min(tickets)
        return [chosen], [ticket for ticket in tickets if ticket != chosen]

    def get(self, ticket):
        actor, name, given = self.asked.pop(ticket)
        cells = given[0] if given else ()
        if actor.dead or self.die(actor.number, cells):
            self.kill(actor)
            raise RayActorError("The actor died unexpectedly.\nmore")
        if cells:
            self.bundles.append((actor.number, cells))
        return getattr(actor.model, name)(*given)

    def kill(self, actor):
        if not actor.dead and (measurement := actor.model._measurement) is not None:
            measurement.__exit__(None, None, None)
        actor.dead = True

    def shutdown(self):
        self.is_up = False
        for actor in self.actors:
            self.kill(actor)
