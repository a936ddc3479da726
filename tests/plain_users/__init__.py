"""An app whose users have neither groups nor permissions."""
