-- The import's scratch database: one per run, in a temporary file that SQLite deletes.
--
-- rows          every row of the file and, in the end, where it went: `outcome` is 'order',
--               'cancellation' or the reason of its refusal; NULL means undecided, which no row
--               may be when the run is over. Columns after `amount` are NULL for rows that were
--               refused by themselves.
-- originals     the fields as they came, for the rejects file; apart, so that `rows` stays small.
-- invoices      the orders to be, one each.
-- returns       the rows of cancellation invoices, in the order in which they are matched.
-- sold          the lines of orders that were placed, with what is left of them to cancel.
-- matches       which line of which order each row of `returns` cancels.

CREATE TABLE rows (
    line INTEGER PRIMARY KEY,
    outcome TEXT,
    amount TEXT NOT NULL,
    invoice TEXT,
    cancels INTEGER,
    kind TEXT,
    sku TEXT,
    name TEXT,
    quantity INTEGER,
    placed_at TEXT,
    price_minor INTEGER,
    customer TEXT,
    country TEXT
);

CREATE TABLE originals (line INTEGER PRIMARY KEY, fields TEXT NOT NULL);

CREATE TABLE invoices (
    number INTEGER PRIMARY KEY,
    invoice TEXT NOT NULL,
    placed_at TEXT NOT NULL,
    customer TEXT NOT NULL,
    country TEXT NOT NULL
);

CREATE TABLE returns (
    number INTEGER PRIMARY KEY,
    line INTEGER NOT NULL,
    invoice TEXT NOT NULL,
    customer TEXT NOT NULL,
    sku TEXT NOT NULL,
    price_minor INTEGER NOT NULL,
    quantity INTEGER NOT NULL,
    happened_at TEXT NOT NULL
);

CREATE TABLE sold (
    customer TEXT NOT NULL,
    sku TEXT NOT NULL,
    price_minor INTEGER NOT NULL,
    placed_at TEXT NOT NULL,
    invoice TEXT NOT NULL,
    order_id TEXT NOT NULL,
    line_number INTEGER NOT NULL,
    remaining INTEGER NOT NULL
);

CREATE INDEX sold_by_customer ON sold (customer, sku, price_minor);

CREATE TABLE matches (
    return_number INTEGER PRIMARY KEY,
    sold_rowid INTEGER NOT NULL,
    line INTEGER NOT NULL,
    invoice TEXT NOT NULL,
    order_invoice TEXT NOT NULL,
    order_id TEXT NOT NULL,
    line_number INTEGER NOT NULL,
    sku TEXT NOT NULL,
    quantity INTEGER NOT NULL
);
