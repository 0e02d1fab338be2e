-- Documents: what was uploaded, and what it belongs to (kernel/documents/documents.h).

-- up

-- The bytes are in a store, under `file_hash` (SHA-256), which is why a document is there once.
-- `state` is what the last look at them found; `verified_at` when they were last right,
-- `checked_at` when they were last looked at. `cid` is the name that IPFS has for them.
CREATE TABLE documents (
    document_id @text NOT NULL PRIMARY KEY,
    filename @text NOT NULL,
    content_type @text NOT NULL,
    file_size @i64 NOT NULL CHECK (file_size > 0),
    file_hash @hash NOT NULL UNIQUE,
    cid @text NOT NULL,
    document_type @text NOT NULL
        CHECK (document_type IN ('manual', 'certification', 'specification', 'lease_agreement')),
    state @text NOT NULL CHECK (state IN ('stored', 'damaged', 'missing')),
    uploaded_by @text NOT NULL,
    created_at @time NOT NULL,
    verified_at @time NOT NULL,
    checked_at @time NOT NULL
);
CREATE INDEX idx_documents_cid ON documents (cid);
CREATE INDEX idx_documents_type ON documents (document_type);
CREATE INDEX idx_documents_checked ON documents (checked_at, document_id);

-- No foreign key to the subject: the row of an asset that others registered leaves with its block.
CREATE TABLE document_links (
    document_id @text NOT NULL REFERENCES documents (document_id),
    subject_kind @text NOT NULL CHECK (subject_kind IN ('asset', 'lease')),
    subject_id @text NOT NULL,
    description @text NOT NULL,
    created_at @time NOT NULL,
    PRIMARY KEY (document_id, subject_kind, subject_id)
);
CREATE INDEX idx_document_links_subject
    ON document_links (subject_kind, subject_id, document_id);

-- down
DROP TABLE document_links;
DROP TABLE documents;
