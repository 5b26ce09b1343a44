-- A copy of what `identifiers` holds of a user, as JSON, beside the user: that table lies by its own values, and a user is read far
-- more often than added. NULL where an older version wrote the user: then it is asked for there.
ALTER TABLE users ADD COLUMN identifiers text;
