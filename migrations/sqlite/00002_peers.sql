-- Who may register for whom, and whose word about identities is taken. docs/schema.md has what to know.
-- The types are checked: one row with a text for a number would keep the whole table from being read.

-- +goose Up
CREATE TABLE third_parties (
  user_id            INTEGER NOT NULL REFERENCES users (id) ON DELETE CASCADE CHECK (typeof(user_id) = 'integer'),
  registrant_user_id INTEGER NOT NULL REFERENCES users (id) ON DELETE CASCADE CHECK (typeof(registrant_user_id) = 'integer'),
  PRIMARY KEY (user_id, registrant_user_id),
  CHECK (user_id <> registrant_user_id)
) WITHOUT ROWID;
CREATE INDEX third_parties_registrant ON third_parties (registrant_user_id);

CREATE TABLE trusted_peers (
  id                  INTEGER PRIMARY KEY,
  source_nets         TEXT NOT NULL DEFAULT '' CHECK (typeof(source_nets) = 'text'),
  tls_name            TEXT NOT NULL DEFAULT '' CHECK (typeof(tls_name) = 'text'),
  may_assert_identity INTEGER NOT NULL DEFAULT 0 CHECK (may_assert_identity IN (0, 1)),
  UNIQUE (source_nets, tls_name)
);

-- +goose StatementBegin
CREATE TRIGGER third_parties_insert AFTER INSERT ON third_parties WHEN NOT EXISTS (SELECT 1 FROM changes WHERE seq = 0) BEGIN
  INSERT INTO changes (table_name, row_key) VALUES ('third_parties', new.user_id);
END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER third_parties_update AFTER UPDATE ON third_parties WHEN NOT EXISTS (SELECT 1 FROM changes WHERE seq = 0) BEGIN
  INSERT INTO changes (table_name, row_key) SELECT 'third_parties', old.user_id UNION SELECT 'third_parties', new.user_id;
END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER third_parties_delete AFTER DELETE ON third_parties WHEN NOT EXISTS (SELECT 1 FROM changes WHERE seq = 0) BEGIN
  INSERT INTO changes (table_name, row_key) VALUES ('third_parties', old.user_id);
END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER trusted_peers_insert AFTER INSERT ON trusted_peers WHEN NOT EXISTS (SELECT 1 FROM changes WHERE seq = 0) BEGIN
  INSERT INTO changes (table_name, row_key) VALUES ('trusted_peers', new.id);
END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER trusted_peers_update AFTER UPDATE ON trusted_peers WHEN NOT EXISTS (SELECT 1 FROM changes WHERE seq = 0) BEGIN
  INSERT INTO changes (table_name, row_key) SELECT 'trusted_peers', old.id UNION SELECT 'trusted_peers', new.id;
END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER trusted_peers_delete AFTER DELETE ON trusted_peers WHEN NOT EXISTS (SELECT 1 FROM changes WHERE seq = 0) BEGIN
  INSERT INTO changes (table_name, row_key) VALUES ('trusted_peers', old.id);
END;
-- +goose StatementEnd

-- +goose Down
DROP TABLE trusted_peers;
DROP TABLE third_parties;
