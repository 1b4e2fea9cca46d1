"""The pages: templates, stylesheets and ES modules that browsers get, and nothing they sign with.

A page is HTML around one module; what it shows it asks of ``/v1`` like any other client, with a
key made in the browser. So nothing here reads the ledger, holds a session or knows who is there.
"""
