#!/usr/bin/python3
"""Trains a small neural network on scikit-learn's digits set, as a researcher's script would: a line for each epoch,
the accuracy at the end. With --gate, goes on for more epochs until that file is there, so that a test decides when
the training ends."""
import argparse
import os

import numpy
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from sklearn.neural_network import MLPClassifier


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--hidden", type=int, default=32)
    parser.add_argument("--rate", type=float, default=1e-3)
    parser.add_argument("--epochs", type=int, default=30)
    parser.add_argument("--gate")
    return parser.parse_args()


def main():
    options = parse_arguments()
    print(f"device {os.environ.get('CUDA_VISIBLE_DEVICES', 'none')}")
    images, labels = load_digits(return_X_y=True)
    split = train_test_split(images / 16, labels, test_size=0.25, random_state=0)
    train_images, test_images, train_labels, test_labels = split
    model = MLPClassifier((options.hidden,), learning_rate_init=options.rate, random_state=0)
    epoch = 0
    while epoch < options.epochs or (options.gate and not os.path.exists(options.gate)):
        epoch += 1
        model.partial_fit(train_images, train_labels, classes=numpy.unique(labels))
        print(f"epoch {epoch} loss {model.loss_:.4f}")
    print(f"accuracy {model.score(test_images, test_labels):.4f} after {epoch} epochs")


if __name__ == "__main__":
    main()
