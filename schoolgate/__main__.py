"""`python -m schoolgate`: how the supervisor starts its own parts."""

from schoolgate.cli import main

if __name__ == "__main__":
    main()
