.PHONY: build test test-all lint types bench
build:
	python setup.py build_ext --inplace
test:
	pytest -n 4
test-all:
	pytest -n 4 --slow
lint:
	ruff check . && ruff format --check . && cython-lint spyderresp
types:
	mypy
bench:
	python -m benchmarks.report --quick
