"""The server of the pages: requests in, pages of ``reports.pages`` out. Starlette stays here."""
