from spyderresp.errors import EventError


cdef class Decider:
    cdef DecisionIndex serving(self):
        if self.index is None:
            raise TypeError("this engine was never given policies")
        return self.index

    def _serve(self, DecisionIndex index not None):
        self.index = index

    def evaluate(self, event):
        return self.serving().evaluate(event)

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
