.PHONY: build test test-all lint types bench
build:
	python setup.py build_ext --inplace
test:
	pytest -n auto
test-all:
	pytest -n auto --slow
lint:
	ruff check . && ruff format --check . && cython-lint spyderresp
types:
	mypy
bench:
	python -m benchmarks.report --quick
