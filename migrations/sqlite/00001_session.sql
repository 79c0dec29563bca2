-- The tables of a session: who there is, where he is, and what was asked. docs/schema.md has what to know.
-- Times are UTC in RFC 3339 with milliseconds, so that they compare as text.

-- +goose Up
CREATE TABLE servers (
  id   INTEGER PRIMARY KEY,
  name TEXT NOT NULL UNIQUE
);

CREATE TABLE server_settings (
  server_id INTEGER NOT NULL REFERENCES servers (id) ON DELETE CASCADE,
  name      TEXT NOT NULL,
  value     TEXT NOT NULL,
  PRIMARY KEY (server_id, name)
) WITHOUT ROWID;

CREATE TABLE domains (
  id        INTEGER PRIMARY KEY,
  server_id INTEGER REFERENCES servers (id) ON DELETE CASCADE,
  name      TEXT NOT NULL UNIQUE,
  kind      TEXT NOT NULL DEFAULT 'exact' CHECK (kind IN ('exact', 'regex', 'ip')),
  canonical TEXT,
  realm     TEXT
);

CREATE TABLE gateway_classes (
  id   INTEGER PRIMARY KEY,
  name TEXT NOT NULL UNIQUE CHECK (name NOT IN ('', '*', 'NULL'))
);

-- An id is never given twice: bindings in memory know their user by it.
CREATE TABLE users (
  id               INTEGER PRIMARY KEY AUTOINCREMENT,
  user_key         TEXT NOT NULL UNIQUE,
  realm            TEXT NOT NULL,
  display_name     TEXT NOT NULL DEFAULT '',
  email            TEXT NOT NULL DEFAULT '',
  auth_policy      TEXT NOT NULL DEFAULT 'required' CHECK (auth_policy IN ('never', 'requested', 'required')),
  gateway_class_id INTEGER REFERENCES gateway_classes (id),
  default_action   TEXT CHECK (default_action IN ('proxy', 'redirect')),
  is_admin         INTEGER NOT NULL DEFAULT 0 CHECK (is_admin IN (0, 1)),
  disabled         INTEGER NOT NULL DEFAULT 0 CHECK (disabled IN (0, 1)),
  may_upload_cgi   INTEGER NOT NULL DEFAULT 0 CHECK (may_upload_cgi IN (0, 1)),
  max_contacts     INTEGER CHECK (max_contacts > 0),
  created_at       TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%fZ', 'now')),
  updated_at       TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%fZ', 'now'))
);

CREATE TABLE credentials (
  user_id       INTEGER NOT NULL REFERENCES users (id) ON DELETE CASCADE,
  auth_username TEXT NOT NULL,
  realm         TEXT NOT NULL,
  algorithm     TEXT NOT NULL DEFAULT 'MD5' CHECK (algorithm IN ('MD5', 'SHA-256', 'SHA-512-256')),
  ha1           TEXT NOT NULL,
  updated_at    TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%fZ', 'now')),
  PRIMARY KEY (auth_username, realm, algorithm)
) WITHOUT ROWID;
CREATE INDEX credentials_user ON credentials (user_id);

CREATE TABLE aliases (
  id           INTEGER PRIMARY KEY,
  alias        TEXT NOT NULL,
  primary_user TEXT NOT NULL REFERENCES users (user_key) ON DELETE CASCADE ON UPDATE CASCADE,
  kind         TEXT NOT NULL DEFAULT 'alias' CHECK (kind IN ('alias', 'group')),
  priority     INTEGER NOT NULL DEFAULT 0,
  UNIQUE (alias, primary_user)
);
CREATE INDEX aliases_user ON aliases (primary_user);

-- The server gives the ids. Every index here is paid for with each registration: there is one, for the users' key.
CREATE TABLE contacts (
  id           INTEGER PRIMARY KEY,
  user_id      INTEGER NOT NULL REFERENCES users (id) ON DELETE CASCADE,
  uri          TEXT NOT NULL,
  uri_norm     TEXT NOT NULL DEFAULT '',
  display_name TEXT NOT NULL DEFAULT '',
  q_milli      INTEGER NOT NULL DEFAULT 1000 CHECK (q_milli BETWEEN 0 AND 1000),
  action       TEXT CHECK (action IN ('proxy', 'redirect')),
  expires_at   TEXT,
  call_id      TEXT NOT NULL DEFAULT '',
  cseq         INTEGER NOT NULL DEFAULT 0,
  instance_id  TEXT,
  reg_id       INTEGER,
  path         TEXT,
  received     TEXT,
  flow         TEXT,
  user_agent   TEXT NOT NULL DEFAULT '',
  methods      TEXT NOT NULL DEFAULT '',
  server       TEXT,
  local_addr   TEXT,
  updated_at   TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%fZ', 'now'))
);
CREATE INDEX contacts_user ON contacts (user_id);

CREATE TABLE requestlog (
  request_time  TEXT,
  method        TEXT,
  sip_status    INTEGER NOT NULL,
  request_url   TEXT,
  sip_callid    TEXT,
  sip_from      TEXT,
  sip_to        TEXT,
  period        TEXT,
  id            INTEGER PRIMARY KEY,
  server        TEXT,
  cseq          INTEGER,
  from_tag      TEXT,
  to_tag        TEXT,
  auth_user     TEXT,
  source        TEXT,
  next_hop      TEXT,
  gateway_class TEXT,
  duration_ms   INTEGER,
  event_id      TEXT UNIQUE
);
CREATE INDEX requestlog_period ON requestlog (period, request_time);
CREATE INDEX requestlog_callid ON requestlog (sip_callid);
CREATE INDEX requestlog_time ON requestlog (request_time);

-- One row for each changed row of the tables that the cache holds. While the row with seq 0 stands, a bulk load is on and
-- writes one row with key * at its end; the load removes it in the same transaction, so nobody else sees it.
CREATE TABLE changes (
  seq        INTEGER PRIMARY KEY AUTOINCREMENT,
  table_name TEXT NOT NULL,
  row_key    TEXT NOT NULL,
  at         TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%fZ', 'now'))
);

-- +goose StatementBegin
CREATE TRIGGER server_settings_insert AFTER INSERT ON server_settings WHEN NOT EXISTS (SELECT 1 FROM changes WHERE seq = 0) BEGIN
  INSERT INTO changes (table_name, row_key) VALUES ('server_settings', new.name);
END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER server_settings_update AFTER UPDATE ON server_settings WHEN NOT EXISTS (SELECT 1 FROM changes WHERE seq = 0) BEGIN
  INSERT INTO changes (table_name, row_key) VALUES ('server_settings', new.name);
END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER server_settings_delete AFTER DELETE ON server_settings WHEN NOT EXISTS (SELECT 1 FROM changes WHERE seq = 0) BEGIN
  INSERT INTO changes (table_name, row_key) VALUES ('server_settings', old.name);
END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER domains_insert AFTER INSERT ON domains WHEN NOT EXISTS (SELECT 1 FROM changes WHERE seq = 0) BEGIN
  INSERT INTO changes (table_name, row_key) VALUES ('domains', new.name);
END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER domains_update AFTER UPDATE ON domains WHEN NOT EXISTS (SELECT 1 FROM changes WHERE seq = 0) BEGIN
  INSERT INTO changes (table_name, row_key) VALUES ('domains', new.name);
END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER domains_delete AFTER DELETE ON domains WHEN NOT EXISTS (SELECT 1 FROM changes WHERE seq = 0) BEGIN
  INSERT INTO changes (table_name, row_key) VALUES ('domains', old.name);
END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER users_insert AFTER INSERT ON users WHEN NOT EXISTS (SELECT 1 FROM changes WHERE seq = 0) BEGIN
  INSERT INTO changes (table_name, row_key) VALUES ('users', new.id);
END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER users_update AFTER UPDATE ON users WHEN NOT EXISTS (SELECT 1 FROM changes WHERE seq = 0) BEGIN
  INSERT INTO changes (table_name, row_key) SELECT 'users', old.id UNION SELECT 'users', new.id;
END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER users_delete AFTER DELETE ON users WHEN NOT EXISTS (SELECT 1 FROM changes WHERE seq = 0) BEGIN
  INSERT INTO changes (table_name, row_key) VALUES ('users', old.id);
END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER credentials_insert AFTER INSERT ON credentials WHEN NOT EXISTS (SELECT 1 FROM changes WHERE seq = 0) BEGIN
  INSERT INTO changes (table_name, row_key) VALUES ('credentials', new.user_id);
END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER credentials_update AFTER UPDATE ON credentials WHEN NOT EXISTS (SELECT 1 FROM changes WHERE seq = 0) BEGIN
  INSERT INTO changes (table_name, row_key) SELECT 'credentials', old.user_id UNION SELECT 'credentials', new.user_id;
END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER credentials_delete AFTER DELETE ON credentials WHEN NOT EXISTS (SELECT 1 FROM changes WHERE seq = 0) BEGIN
  INSERT INTO changes (table_name, row_key) VALUES ('credentials', old.user_id);
END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER aliases_insert AFTER INSERT ON aliases WHEN NOT EXISTS (SELECT 1 FROM changes WHERE seq = 0) BEGIN
  INSERT INTO changes (table_name, row_key) VALUES ('aliases', new.alias);
END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER aliases_update AFTER UPDATE ON aliases WHEN NOT EXISTS (SELECT 1 FROM changes WHERE seq = 0) BEGIN
  INSERT INTO changes (table_name, row_key) SELECT 'aliases', old.alias UNION SELECT 'aliases', new.alias;
END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER aliases_delete AFTER DELETE ON aliases WHEN NOT EXISTS (SELECT 1 FROM changes WHERE seq = 0) BEGIN
  INSERT INTO changes (table_name, row_key) VALUES ('aliases', old.alias);
END;
-- +goose StatementEnd

-- +goose Down
DROP TABLE changes;
DROP TABLE requestlog;
DROP TABLE contacts;
DROP TABLE aliases;
DROP TABLE credentials;
DROP TABLE users;
DROP TABLE gateway_classes;
DROP TABLE domains;
DROP TABLE server_settings;
DROP TABLE servers;
