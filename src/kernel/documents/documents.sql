-- Documents and what they belong to; see documents.h.

-- statement: documents_insert
-- doc: A new document; nothing when its bytes are known.
-- params: document_id text, filename text, content_type text, file_size i64, file_hash hash
-- params: cid text, document_type text, uploaded_by text, now time
INSERT INTO documents
    (document_id, filename, content_type, file_size, file_hash, cid, document_type, state,
     uploaded_by, created_at, verified_at, checked_at)
VALUES (:document_id, :filename, :content_type, :file_size, :file_hash, :cid, :document_type,
        'stored', :uploaded_by, :now, :now, :now)
ON CONFLICT (file_hash) DO NOTHING;

-- statement: documents_get
-- doc: One document.
-- params: document_id text
-- columns: document_id text, filename text, content_type text, file_size i64, file_hash hash
-- columns: cid text, document_type text, state text, uploaded_by text, created_at time
-- columns: verified_at time, checked_at time
SELECT document_id, filename, content_type, file_size, file_hash, cid, document_type, state,
       uploaded_by, created_at, verified_at, checked_at
FROM documents WHERE document_id = :document_id;

-- statement: documents_by_hash
-- doc: The document with these bytes.
-- params: file_hash hash
-- columns: document_id text, filename text, content_type text, file_size i64, file_hash hash
-- columns: cid text, document_type text, state text, uploaded_by text, created_at time
-- columns: verified_at time, checked_at time
SELECT document_id, filename, content_type, file_size, file_hash, cid, document_type, state,
       uploaded_by, created_at, verified_at, checked_at
FROM documents WHERE file_hash = :file_hash;

-- statement: documents_list
-- doc: Documents, newest first, below one; "" and NULL match any.
-- params: document_type text, state text, file_hash hash?, cid text, subject_kind text
-- params: subject_id text, below_id text, max_rows i64
-- columns: document_id text, filename text, content_type text, file_size i64, file_hash hash
-- columns: cid text, document_type text, state text, uploaded_by text, created_at time
-- columns: verified_at time, checked_at time
SELECT d.document_id, d.filename, d.content_type, d.file_size, d.file_hash, d.cid,
       d.document_type, d.state, d.uploaded_by, d.created_at, d.verified_at, d.checked_at
FROM documents d
WHERE (:document_type = '' OR d.document_type = :document_type)
    AND (:state = '' OR d.state = :state)
    AND (:file_hash IS NULL OR d.file_hash = :file_hash)
    AND (:cid = '' OR d.cid = :cid)
    AND (:subject_id = ''
         OR EXISTS (SELECT 1 FROM document_links l
                    WHERE l.document_id = d.document_id AND l.subject_kind = :subject_kind
                        AND l.subject_id = :subject_id))
    AND (:below_id = '' OR d.document_id < :below_id)
ORDER BY d.document_id DESC
LIMIT :max_rows;

-- statement: documents_checked
-- doc: What a look at the bytes found.
-- params: document_id text, state text, now time
UPDATE documents
SET state = :state, checked_at = :now,
    verified_at = CASE WHEN :state = 'stored' THEN :now ELSE verified_at END
WHERE document_id = :document_id;

-- statement: documents_stalest
-- doc: The document that nobody has looked at for longest, if that was before a time.
-- params: before time
-- columns: document_id text, filename text, content_type text, file_size i64, file_hash hash
-- columns: cid text, document_type text, state text, uploaded_by text, created_at time
-- columns: verified_at time, checked_at time
SELECT document_id, filename, content_type, file_size, file_hash, cid, document_type, state,
       uploaded_by, created_at, verified_at, checked_at
FROM documents WHERE checked_at < :before
ORDER BY checked_at, document_id LIMIT 1;

-- statement: documents_count
-- doc: How many documents there are, and how many of them are not what they were.
-- columns: total i64, damaged i64
SELECT COUNT(*) AS total, COUNT(CASE WHEN state <> 'stored' THEN 1 END) AS damaged FROM documents;

-- statement: documents_delete
-- doc: Forgets a document that belongs to nothing.
-- params: document_id text
DELETE FROM documents
WHERE document_id = :document_id
    AND NOT EXISTS (SELECT 1 FROM document_links l WHERE l.document_id = documents.document_id);

-- statement: documents_link
-- doc: Says what a document belongs to; nothing when that is said.
-- params: document_id text, subject_kind text, subject_id text, description text, now time
INSERT INTO document_links (document_id, subject_kind, subject_id, description, created_at)
VALUES (:document_id, :subject_kind, :subject_id, :description, :now)
ON CONFLICT (document_id, subject_kind, subject_id) DO NOTHING;

-- statement: documents_unlink
-- doc: A document does not belong to something any more.
-- params: document_id text, subject_kind text, subject_id text
DELETE FROM document_links
WHERE document_id = :document_id AND subject_kind = :subject_kind AND subject_id = :subject_id;

-- statement: documents_links
-- doc: What a document belongs to.
-- params: document_id text
-- columns: subject_kind text, subject_id text, description text
SELECT subject_kind, subject_id, description FROM document_links
WHERE document_id = :document_id ORDER BY subject_kind, subject_id;
