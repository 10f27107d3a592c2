.PHONY: build test lint types bench
build:
	python setup.py build_ext --inplace
test:
	pytest
lint:
	ruff check . && ruff format --check . && cython-lint spyderresp
types:
	mypy
bench:
	python -m benchmarks.report --quick
