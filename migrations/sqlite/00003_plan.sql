-- What becomes of numbers: dial plan, gateways, forwards, how groups ring, and who changed it. docs/schema.md has what to know.
-- The types are checked: one row with a text for a number would keep the whole table from being read.

-- +goose Up
ALTER TABLE aliases ADD COLUMN ring_mode TEXT CHECK (ring_mode IN ('serial', 'parallel'));
ALTER TABLE aliases ADD COLUMN delay_s INTEGER CHECK (delay_s BETWEEN 0 AND 180 AND typeof(delay_s) IN ('integer', 'null'));

CREATE TABLE dialplan (
  id        INTEGER PRIMARY KEY,
  position  INTEGER NOT NULL CHECK (typeof(position) = 'integer'),
  pattern   TEXT NOT NULL CHECK (typeof(pattern) = 'text'),
  target    TEXT NOT NULL CHECK (typeof(target) = 'text'),
  emergency INTEGER NOT NULL DEFAULT 0 CHECK (emergency IN (0, 1)),
  comment   TEXT NOT NULL DEFAULT '' CHECK (typeof(comment) = 'text'),
  enabled   INTEGER NOT NULL DEFAULT 1 CHECK (enabled IN (0, 1))
);

CREATE TABLE gatewaymap (
  id       INTEGER PRIMARY KEY,
  position INTEGER NOT NULL CHECK (typeof(position) = 'integer'),
  pattern  TEXT NOT NULL CHECK (typeof(pattern) = 'text'),
  classes  TEXT NOT NULL CHECK (typeof(classes) = 'text'),
  target   TEXT NOT NULL CHECK (typeof(target) = 'text'),
  weight   INTEGER NOT NULL DEFAULT 1 CHECK (weight BETWEEN 0 AND 65535),
  comment  TEXT NOT NULL DEFAULT '' CHECK (typeof(comment) = 'text'),
  enabled  INTEGER NOT NULL DEFAULT 1 CHECK (enabled IN (0, 1))
);

CREATE TABLE gateways (
  id               INTEGER PRIMARY KEY,
  name             TEXT NOT NULL UNIQUE CHECK (typeof(name) = 'text'),
  uri              TEXT NOT NULL CHECK (typeof(uri) = 'text'),
  source_nets      TEXT NOT NULL DEFAULT '' CHECK (typeof(source_nets) = 'text'),
  tls_name         TEXT NOT NULL DEFAULT '' CHECK (typeof(tls_name) = 'text'),
  inbound_class_id INTEGER REFERENCES gateway_classes (id),
  probe_s          INTEGER CHECK ((probe_s > 0 OR probe_s = -1) AND typeof(probe_s) IN ('integer', 'null')),
  max_calls        INTEGER CHECK (max_calls > 0 AND typeof(max_calls) IN ('integer', 'null')),
  weight           INTEGER NOT NULL DEFAULT 1 CHECK (weight BETWEEN 0 AND 65535),
  enabled          INTEGER NOT NULL DEFAULT 1 CHECK (enabled IN (0, 1)),
  drained          INTEGER NOT NULL DEFAULT 0 CHECK (drained IN (0, 1)),
  comment          TEXT NOT NULL DEFAULT '' CHECK (typeof(comment) = 'text')
);

CREATE TABLE forwards (
  user_id   INTEGER NOT NULL REFERENCES users (id) ON DELETE CASCADE CHECK (typeof(user_id) = 'integer'),
  kind      TEXT NOT NULL CHECK (kind IN ('all', 'busy', 'noanswer', 'offline')),
  target    TEXT NOT NULL CHECK (typeof(target) = 'text'),
  timeout_s INTEGER CHECK (timeout_s > 0 AND typeof(timeout_s) IN ('integer', 'null')),
  PRIMARY KEY (user_id, kind)
) WITHOUT ROWID;

CREATE TABLE plan_tests (
  id      INTEGER PRIMARY KEY,
  number  TEXT NOT NULL CHECK (typeof(number) = 'text'),
  class   TEXT NOT NULL DEFAULT '' CHECK (typeof(class) = 'text'),
  expect  TEXT NOT NULL CHECK (typeof(expect) = 'text'),
  comment TEXT NOT NULL DEFAULT '' CHECK (typeof(comment) = 'text'),
  UNIQUE (number, class)
);

CREATE TABLE audit_log (
  id     INTEGER PRIMARY KEY AUTOINCREMENT,
  at     TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%fZ', 'now')),
  actor  TEXT NOT NULL,
  action TEXT NOT NULL,
  object TEXT NOT NULL DEFAULT '',
  detail TEXT NOT NULL DEFAULT ''
);

-- +goose StatementBegin
CREATE TRIGGER gateway_classes_insert AFTER INSERT ON gateway_classes WHEN NOT EXISTS (SELECT 1 FROM changes WHERE seq = 0) BEGIN
  INSERT INTO changes (table_name, row_key) VALUES ('gateway_classes', new.id);
END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER gateway_classes_update AFTER UPDATE ON gateway_classes WHEN NOT EXISTS (SELECT 1 FROM changes WHERE seq = 0) BEGIN
  INSERT INTO changes (table_name, row_key) SELECT 'gateway_classes', old.id UNION SELECT 'gateway_classes', new.id;
END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER gateway_classes_delete AFTER DELETE ON gateway_classes WHEN NOT EXISTS (SELECT 1 FROM changes WHERE seq = 0) BEGIN
  INSERT INTO changes (table_name, row_key) VALUES ('gateway_classes', old.id);
END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER dialplan_insert AFTER INSERT ON dialplan WHEN NOT EXISTS (SELECT 1 FROM changes WHERE seq = 0) BEGIN
  INSERT INTO changes (table_name, row_key) VALUES ('dialplan', new.id);
END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER dialplan_update AFTER UPDATE ON dialplan WHEN NOT EXISTS (SELECT 1 FROM changes WHERE seq = 0) BEGIN
  INSERT INTO changes (table_name, row_key) SELECT 'dialplan', old.id UNION SELECT 'dialplan', new.id;
END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER dialplan_delete AFTER DELETE ON dialplan WHEN NOT EXISTS (SELECT 1 FROM changes WHERE seq = 0) BEGIN
  INSERT INTO changes (table_name, row_key) VALUES ('dialplan', old.id);
END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER gatewaymap_insert AFTER INSERT ON gatewaymap WHEN NOT EXISTS (SELECT 1 FROM changes WHERE seq = 0) BEGIN
  INSERT INTO changes (table_name, row_key) VALUES ('gatewaymap', new.id);
END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER gatewaymap_update AFTER UPDATE ON gatewaymap WHEN NOT EXISTS (SELECT 1 FROM changes WHERE seq = 0) BEGIN
  INSERT INTO changes (table_name, row_key) SELECT 'gatewaymap', old.id UNION SELECT 'gatewaymap', new.id;
END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER gatewaymap_delete AFTER DELETE ON gatewaymap WHEN NOT EXISTS (SELECT 1 FROM changes WHERE seq = 0) BEGIN
  INSERT INTO changes (table_name, row_key) VALUES ('gatewaymap', old.id);
END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER gateways_insert AFTER INSERT ON gateways WHEN NOT EXISTS (SELECT 1 FROM changes WHERE seq = 0) BEGIN
  INSERT INTO changes (table_name, row_key) VALUES ('gateways', new.id);
END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER gateways_update AFTER UPDATE ON gateways WHEN NOT EXISTS (SELECT 1 FROM changes WHERE seq = 0) BEGIN
  INSERT INTO changes (table_name, row_key) SELECT 'gateways', old.id UNION SELECT 'gateways', new.id;
END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER gateways_delete AFTER DELETE ON gateways WHEN NOT EXISTS (SELECT 1 FROM changes WHERE seq = 0) BEGIN
  INSERT INTO changes (table_name, row_key) VALUES ('gateways', old.id);
END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER forwards_insert AFTER INSERT ON forwards WHEN NOT EXISTS (SELECT 1 FROM changes WHERE seq = 0) BEGIN
  INSERT INTO changes (table_name, row_key) VALUES ('forwards', new.user_id);
END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER forwards_update AFTER UPDATE ON forwards WHEN NOT EXISTS (SELECT 1 FROM changes WHERE seq = 0) BEGIN
  INSERT INTO changes (table_name, row_key) SELECT 'forwards', old.user_id UNION SELECT 'forwards', new.user_id;
END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER forwards_delete AFTER DELETE ON forwards WHEN NOT EXISTS (SELECT 1 FROM changes WHERE seq = 0) BEGIN
  INSERT INTO changes (table_name, row_key) VALUES ('forwards', old.user_id);
END;
-- +goose StatementEnd

-- +goose Down
DROP TRIGGER gateway_classes_insert;
DROP TRIGGER gateway_classes_update;
DROP TRIGGER gateway_classes_delete;
DROP TABLE audit_log;
DROP TABLE plan_tests;
DROP TABLE forwards;
DROP TABLE gateways;
DROP TABLE gatewaymap;
DROP TABLE dialplan;
ALTER TABLE aliases DROP COLUMN delay_s;
ALTER TABLE aliases DROP COLUMN ring_mode;
