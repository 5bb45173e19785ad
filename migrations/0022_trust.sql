-- Raised by every change of what makes a plugin believed: a key, a signature, whether one is asked for. An activation
-- reads it before it looks at signatures, and looks again where it is another in the activation's transaction.
ALTER TABLE tenants ADD COLUMN trust BIGINT NOT NULL DEFAULT 0;
