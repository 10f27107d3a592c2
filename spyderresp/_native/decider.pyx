from spyderresp.errors import EventError
from spyderresp.event_json import lines as _lines


cdef class Decider:
    cdef DecisionIndex serving(self):
        if self.index is None:
            raise TypeError("this engine was never given policies")
        return self.index

    cdef Narrow reading(self):
        self.serving()
        return self.narrow

    def _serve(self, DecisionIndex index not None):
        self.index = index
        self.narrow = Narrow(index)

    def evaluate(self, event):
        return self.serving().evaluate(event)

    def evaluate_json(self, data):
        return self.reading().evaluate(data)

    def evaluate_jsonl(self, buffer, *, on_error="raise"):
        cdef Narrow narrow = self.reading()
        if on_error == "raise":
            return [narrow.evaluate(line) for line in _lines(buffer)]
        if on_error != "collect":
            raise ValueError(f"on_error must be 'raise' or 'collect', not {on_error!r}")
        plans = []
        for line in _lines(buffer):
            try:
                plans.append(narrow.evaluate(line))
            except EventError as error:
                plans.append(error)
        return plans

    def evaluate_many(self, events, *, on_error="raise"):
        cdef DecisionIndex index = self.serving()
        if on_error == "raise":
            return index.evaluate_many(events)
        if on_error != "collect":
            raise ValueError(f"on_error must be 'raise' or 'collect', not {on_error!r}")
        plans = []
        for event in events:
            try:
                plans.append(index.evaluate(event))
            except EventError as error:
                plans.append(error)
        return plans
