"""The tables of node.db and metrics.db, as numbered migrations.

Append, never edit: a node in the field has run the earlier ones. Statements end
in `;` at the end of a line.
"""

from __future__ import annotations

from appliance import database
from appliance.config import Settings

NODE: tuple[str, ...] = (
    """
    create table setting_answer (
        step text primary key, answers text not null, saved real not null);
    create table credential (
        account text primary key, name text not null unique,
        password_hash text not null, roles text not null, created real not null);
    create table session (
        token_hash text primary key, account text not null, csrf text not null,
        created real not null, expires real not null, seen real not null,
        address text not null, agent text not null);
    create table api_token (
        id text primary key, account text not null, name text not null,
        token_hash text not null unique, scopes text not null,
        created real not null, expires real, used real);
    create table attempt (
        id integer primary key, what text not null, address text not null,
        time real not null);
    create index attempt_recent on attempt (what, address, time);
    create table operation (
        id text primary key, kind text not null, title text not null,
        subject text not null, account text not null, state text not null,
        params text not null, memory text not null, steps text not null,
        result text, error text, cancel integer not null default 0,
        worker text, created real not null, started real, ended real);
    create index operation_state on operation (state, created);
    create table operation_log (
        id integer primary key, operation text not null
            references operation (id) on delete cascade,
        time real not null, step text not null, line text not null);
    create index operation_log_of on operation_log (operation, id);
    create table event (
        id integer primary key, time real not null, service text not null,
        level text not null, subject text not null, text text not null);
    create table audit (
        id integer primary key, time real not null, account text not null,
        address text not null, action text not null, subject text not null,
        outcome text not null);
    create table secret (
        owner text not null, agent text not null, name text not null,
        sealed blob not null, changed real not null,
        primary key (owner, agent, name));
    create table task (
        id text primary key, owner text not null, agent text not null,
        version text not null, caller text not null, state text not null,
        request text not null, input_digest text not null, output text,
        error text, usage text not null, attempts text not null,
        metadata text not null, deadline real not null,
        created real not null, started real, ended real);
    create index task_of on task (caller, created);
    create index task_state on task (state, created);
    create table task_event (
        id integer primary key, task text not null
            references task (id) on delete cascade,
        time real not null, kind text not null, body text not null);
    create index task_event_of on task_event (task, id);
    create table idempotency (
        caller text not null, key text not null, body_digest text not null,
        task text not null, created real not null,
        primary key (caller, key));
    """,
    """
    create index task_ended on task (ended) where ended is not null;
    """,
    """
    alter table credential add column disabled real;
    create table invitation (
        token_hash text primary key, account text not null, expires real not null);
    create table known_address (
        account text not null, address text not null, time real not null,
        primary key (account, address));
    update api_token set scopes = '["admin"]' where scopes = '[]';
    create index audit_recent on audit (address, time);
    """,
    """
    create table health (
        id integer primary key, service text not null, time real not null,
        state text not null, reason text not null);
    create index health_of on health (service, id);
    """,
    """
    alter table audit add column salt text not null default '';
    alter table audit add column named text not null default '';
    alter table audit add column previous text not null default '';
    alter table audit add column hash text not null default '';
    """,
    """
    create table second_factor (
        account text primary key, secret text not null, confirmed real,
        last_step integer not null default 0);
    create table recovery_code (
        account text not null, code_hash text not null,
        primary key (account, code_hash));
    create table pending_login (
        token_hash text primary key, account text not null, expires real not null);
    """,
    """
    create table setting_change (
        id integer primary key, time real not null, account text not null,
        why text not null, operation text not null,
        before text not null, after text not null);
    """,
    """
    create table alert_rule (
        name text primary key, body text not null, changed real not null);
    create table alert (
        id integer primary key, rule text not null, subject text not null,
        state text not null, severity text not null, title text not null,
        value text not null, since real not null, seen real not null,
        fired real, calm real, ended real, told text not null default '');
    create index alert_state on alert (state);
    create table alert_silence (
        id integer primary key, rule text not null, subject text not null,
        until real not null, why text not null, account text not null,
        created real not null);
    create table alert_target (
        name text primary key, kind text not null, body text not null,
        sealed blob, changed real not null);
    create table alert_delivery (
        id integer primary key, message text not null, target text not null,
        body text not null, state text not null, tries integer not null,
        next real not null, outcome text not null, created real not null,
        ended real);
    create index alert_delivery_state on alert_delivery (state, next);
    """,
    """
    update task set owner = (
        select account from credential where credential.name = task.owner)
        where owner in (select name from credential);
    """,
    """
    alter table attempt add column account text not null default '';
    """,
    """
    create table build (
        id integer primary key, ended real not null, seconds real not null,
        state text not null, made integer not null, cached integer not null);
    create index build_ended on build (ended);
    """,
    """
    create table repair (
        id text primary key, name text not null, subject text not null,
        severity text not null, title text not null, text text not null,
        cure text not null, link text not null, button text not null,
        loses text not null, mark text not null, since real not null,
        ignored text not null default '', ignored_by text not null default '',
        ignored_why text not null default '', ignored_at real);
    create table repair_look (
        name text primary key, title text not null, looked real not null,
        trouble text not null);
    """,
    """
    alter table operation add column request text not null default '';
    """,
    """
    create table nonce (
        node text not null, nonce text not null, until real not null,
        primary key (node, nonce));
    create index nonce_until on nonce (until);
    """,
    """
    create table share (
        agent text not null, account text not null, right text not null,
        giver text not null, given real not null,
        primary key (agent, account));
    create index share_of on share (account);
    """,
    """
    alter table session add column proved real not null default 0;
    """,
    """
    alter table audit add column placed text not null default '';
    alter table audit add column about text not null default '';
    alter table audit add column veil text not null default '';
    """,
)

METRICS: tuple[str, ...] = (
    """
    create table sample (
        subject text not null, metric text not null, time integer not null,
        value real not null, primary key (subject, metric, time)) without rowid;
    create index sample_time on sample (time);
    """,
    """
    drop table sample;
    create table series (
        id integer primary key, subject text not null, metric text not null,
        unique (subject, metric));
    create table sample (
        series integer not null, step integer not null, time integer not null,
        value real not null, weight integer not null,
        primary key (series, step, time)) without rowid;
    """,
)


def open_all(settings: Settings) -> None:
    """Open node.db and metrics.db of this node."""
    folder = settings.data_dir / "node"
    database.open_database(database.node, folder / "node.db", NODE)
    database.open_database(database.metrics, folder / "metrics.db", METRICS)
