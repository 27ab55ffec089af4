"""The API: models of every kind, and what is generated from them (CRDs, validation, reference pages)."""
