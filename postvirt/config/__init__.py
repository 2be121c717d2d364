"""The configuration: main.cf and -o options in, one frozen `Settings` out."""
