"""Text: cleaning, and splitting into sentences."""
