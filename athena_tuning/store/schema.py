"""The tables of a store and how older ones become today's. One text for both databases.

``{schema}``, ``{blob}``, ``{key}`` and ``{compact}`` are where SQLite and PostgreSQL differ: where the tables
are, the type of bytes, of a number that the database gives, and SQLite's wish to keep a table in its key's
order.
"""

from __future__ import annotations

MIGRATIONS: tuple[tuple[str, ...], ...] = (
    (
        """CREATE TABLE {schema}config_versions (
            version BIGINT PRIMARY KEY,
            parent BIGINT NOT NULL,
            scope TEXT NOT NULL,
            config TEXT NOT NULL,
            mode TEXT NOT NULL,
            author TEXT NOT NULL,
            reason TEXT NOT NULL,
            time DOUBLE PRECISION NOT NULL,
            restores BIGINT,
            idempotency_key TEXT UNIQUE)""",
        "CREATE INDEX config_versions_scope ON {schema}config_versions (scope, version)",
        """CREATE TABLE {schema}decisions (
            decision_id TEXT PRIMARY KEY,
            time DOUBLE PRECISION NOT NULL,
            scope TEXT NOT NULL,
            action TEXT NOT NULL,
            record TEXT NOT NULL)""",
        "CREATE INDEX decisions_time ON {schema}decisions (time)",
        """CREATE TABLE {schema}workers (
            worker_id TEXT PRIMARY KEY,
            host TEXT NOT NULL,
            pid BIGINT NOT NULL,
            started DOUBLE PRECISION NOT NULL,
            last_seen DOUBLE PRECISION NOT NULL,
            config_version BIGINT NOT NULL,
            recalls BIGINT NOT NULL,
            dropped_metrics BIGINT NOT NULL,
            rejected_metrics BIGINT NOT NULL)""",
        """CREATE TABLE {schema}annotations (
            id {key},
            time DOUBLE PRECISION NOT NULL,
            text TEXT NOT NULL,
            author TEXT NOT NULL)""",
        "CREATE INDEX annotations_time ON {schema}annotations (time)",
        """CREATE TABLE {schema}leases (
            name TEXT PRIMARY KEY,
            holder TEXT NOT NULL,
            ends DOUBLE PRECISION NOT NULL)""",
        """CREATE TABLE {schema}writers (
            worker_id TEXT PRIMARY KEY,
            sequence BIGINT NOT NULL,
            rolled BIGINT NOT NULL,
            newest DOUBLE PRECISION NOT NULL)""",
        """CREATE TABLE {schema}segments (
            id {key},
            worker_id TEXT NOT NULL,
            sequence BIGINT NOT NULL,
            records BIGINT NOT NULL,
            oldest DOUBLE PRECISION NOT NULL,
            newest DOUBLE PRECISION NOT NULL,
            data {blob} NOT NULL)""",
        "CREATE UNIQUE INDEX segments_sequence ON {schema}segments (worker_id, sequence)",
        """CREATE TABLE {schema}texts (
            id BIGINT PRIMARY KEY,
            text TEXT NOT NULL,
            last_used DOUBLE PRECISION NOT NULL)""",
        """CREATE TABLE {schema}rollups (
            seconds BIGINT NOT NULL,
            start BIGINT NOT NULL,
            worker_id TEXT NOT NULL,
            query_type TEXT NOT NULL,
            layer TEXT NOT NULL,
            config_version BIGINT NOT NULL,
            count BIGINT NOT NULL,
            known BIGINT NOT NULL,
            errors BIGINT NOT NULL,
            judged BIGINT NOT NULL,
            partial BIGINT NOT NULL,
            hits BIGINT NOT NULL,
            cacheable BIGINT NOT NULL,
            sum_ms DOUBLE PRECISION NOT NULL,
            queue_ms DOUBLE PRECISION NOT NULL,
            p50_ms DOUBLE PRECISION,
            p95_ms DOUBLE PRECISION,
            p99_ms DOUBLE PRECISION,
            histogram {blob} NOT NULL,
            PRIMARY KEY (seconds, start, layer, query_type, config_version, worker_id)){compact}""",
    ),
    (
        """CREATE TABLE {schema}feedback (
            query_id TEXT PRIMARY KEY,
            score DOUBLE PRECISION NOT NULL,
            time DOUBLE PRECISION NOT NULL)""",
        "CREATE INDEX feedback_time ON {schema}feedback (time)",
    ),
    (
        """CREATE TABLE {schema}messages (
            topic TEXT NOT NULL,
            key TEXT NOT NULL,
            text TEXT NOT NULL,
            time DOUBLE PRECISION NOT NULL,
            PRIMARY KEY (topic, key)){compact}""",
    ),
    (
        "ALTER TABLE {schema}leases RENAME COLUMN ends TO seconds",
        "ALTER TABLE {schema}leases ADD COLUMN number BIGINT NOT NULL DEFAULT 0",
        "ALTER TABLE {schema}leases ADD COLUMN renewals BIGINT NOT NULL DEFAULT 0",
        "UPDATE {schema}leases SET holder = '', seconds = 0",
    ),
)
"""The steps from an empty database to today's tables; version n is what the first n steps make."""

CURRENT = len(MIGRATIONS)
