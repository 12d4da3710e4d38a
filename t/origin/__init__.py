# SPDX-License-Identifier: Apache-2.0
"""An S3 origin that answers as a test tells it to."""
