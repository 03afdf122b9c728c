"""Reports and expectations: written, read, compared and rendered."""
