-- The thumbprint of the key that must be proven with a code (RFC 9449 §10).
ALTER TABLE codes ADD COLUMN bound_key BLOB;
