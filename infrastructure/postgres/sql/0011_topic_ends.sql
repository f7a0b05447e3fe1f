-- Where each partition ended when the position was stored: the topic of orders first, then that of
-- stock. One that ends before that has lost messages.
ALTER TABLE relay_positions ADD COLUMN ends bigint[] NOT NULL DEFAULT '{}';
