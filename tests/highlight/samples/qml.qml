import QtQuick 2.15
// a counter button
Rectangle {
    id: box
    property int count: 0
    width: 120; color: "steelblue"
    MouseArea {
        onClicked: { if (box.count < 10) box.count += 1 }
    }
}
